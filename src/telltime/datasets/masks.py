"""Masks that belong to a video or picture: which file is whose, and what the numbers in it mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

VOID = 255
"""Label of pixels that count for nothing."""

AS_STORED = tuple(range(256))
"""Meanings under which numbers stay what they are; 255 is then void."""

BINARY = (0, *(1,) * 255)
"""Meanings under which everything but 0 is the one object."""


@dataclass(frozen=True)
class Masks:
    """The annotated frames of one record.

    Attributes:
        files: frame number (of a picture: 0) to its mask file.
        meaning: label that each number in a file stands for, 256 of them; :data:`VOID` is void.
        objects: what the labels are: ``"instances"`` of this video alone, or ``"classes"`` of the whole data set.
    """

    files: Mapping[int, Path] = field(default_factory=dict)
    meaning: tuple[int, ...] = AS_STORED
    objects: str = "instances"

    def __len__(self) -> int:
        return len(self.files)

    def translate(self, stored: np.ndarray) -> np.ndarray:
        """Numbers as stored, uint8 of any shape, to labels, uint8 of the same shape."""
        return np.array(self.meaning, dtype=np.uint8)[stored]

    def instances(self) -> "Masks":
        """The same files with the objects of this video apart, where the labels are classes of several objects each."""
        return self if self.objects == "instances" else replace(self, meaning=AS_STORED, objects="instances")


def lookup(labels: Mapping[int, int], other: int = VOID) -> tuple[int, ...]:
    """Meanings under which each key of ``labels`` becomes its value, 0 and 255 stay, and the rest is ``other``.

    All numbers are looked up at once: no label that one number becomes is taken for a number again.
    """
    return tuple(labels.get(n, n if n in (0, VOID) else other) for n in range(256))
