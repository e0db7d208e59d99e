"""The clips a network was trained on."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

SPREAD: dict[str, Any] = {"sampling": "segments", "crop": 1.0, "order": "rgb"}
"""What else is true of clips that :class:`telltime.views.time_reader.TimeReader` makes."""

OF_TIME: dict[str, Any] = SPREAD | {"frames": 8, "size": 224, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
"""What a recipe of TIME leaves unsaid."""


@dataclass(frozen=True)
class ClipSpec:
    """The clips a network was trained on.

    Attributes:
        frames: how many.
        stride: frames of the video from one to the next.
        size: side of the square pictures, in pixels.
        crop: side of the centred square cut out for testing, as a share of the frame's short side.
        order: channel order the network expects; clips handed to a :class:`Model` are RGB all the same.
        mean, std: subtracted and divided by, of values in 0..1 and in ``order``; ``None`` for neither.
        sampling: ``"stride"``, consecutive frames so far apart, or ``"segments"``, one of each of ``frames`` equal
            parts of the video, whatever ``stride`` says.
    """

    frames: int = 16
    stride: int = 2
    size: int = 112
    crop: float = 0.8
    order: Literal["bgr", "rgb"] = "bgr"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    sampling: Literal["stride", "segments"] = "stride"

    def __post_init__(self) -> None:
        if self.order not in ("bgr", "rgb"):
            raise ValueError(f'order is "bgr" or "rgb", not {self.order!r}')
        if self.sampling not in ("stride", "segments"):
            raise ValueError(f'sampling is "stride" or "segments", not {self.sampling!r}')
        if min(self.frames, self.stride, self.size) < 1 or not 0 < self.crop <= 1:
            raise ValueError(f"frames, stride and size are at least 1 and crop lies in 0..1: {self}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None:
                if len(values) != 3 or (name == "std" and min(values) <= 0):
                    raise ValueError(f"{name} is three numbers, one a channel, not {values}")
                object.__setattr__(self, name, tuple(float(value) for value in values))

    def described(self) -> dict[str, Any]:
        """As JSON values; what is as it always was before there was a choice is left out."""
        return {k: v for k, v in asdict(self).items() if k != "sampling" or v != "stride"}
