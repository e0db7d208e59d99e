"""The classes that a probe tells apart, of data sets whose masks name classes and of those whose masks name objects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from telltime.clips.masks import annotated, read_labels
from telltime.datasets.masks import VOID
from telltime.datasets.record import DatasetError, Table
from telltime.tasks.dense import label_names, of_instances, things
from telltime.tasks.measuring import listed, partial_notes


@dataclass(frozen=True)
class MaskClasses:
    """What the labels of two splits are to a classifier.

    Attributes:
        count: classes there are, background among them.
        objects: whether labels are objects of single videos, which nothing can tell across videos: then all of them are
            foreground, class 1.
        thing: what a record is, in the singular.
        notes: sentences for the page.
        table: the split that is learnt from.
    """

    count: int
    objects: bool
    thing: str
    notes: list[str]
    table: Table

    @classmethod
    def of(cls, train: Table, test: Table) -> "MaskClasses":
        """Of splits with masks; where classes have no names, the training masks are gone through for the largest."""
        objects = of_instances(train) or of_instances(test)
        thing = things(train)["things"]
        notes = list(partial_notes([train, test]))
        both = sorted({record.id for record in train.records} & {record.id for record in test.records})
        if both:
            notes.append(f"Measured on what was learnt from: {listed(both)} in both splits.")
        if objects:
            notes.append("Labels are objects of single videos, so foreground and background are told apart.")
            return cls(2, True, thing, notes, train)
        count = len(train.classes) + (train.classes[:1] != ("background",)) if train.classes else _largest(train) + 1
        return cls(max(2, count), False, thing, notes, train)

    def told(self, labels: np.ndarray) -> np.ndarray:
        """Labels uint8 as read to classes uint8; void stays void.

        Raises:
            DatasetError: a label is beyond the classes.
        """
        known = labels != VOID
        if self.objects:
            return np.where(known, labels > 0, VOID).astype(np.uint8)
        if known.any() and int(labels[known].max()) >= self.count:
            raise DatasetError(
                f"a mask of {self.table.name} below {self.table.root} holds {int(labels[known].max())}, "
                f"but there are {self.count} classes, background included"
            )
        return labels

    def names(self, labels: Sequence[int] | np.ndarray) -> list[str]:
        """What classes are called."""
        if self.objects:
            return ["foreground" if label else "background" for label in labels]
        return label_names(self.table, [int(label) for label in labels])


def _largest(table: Table) -> int:
    """The largest label of a split."""
    most = 0
    for record in table.records:
        labels = read_labels(record, annotated(record), None)
        known = labels[labels != VOID]
        most = max(most, int(known.max()) if known.size else 0)
    return most
