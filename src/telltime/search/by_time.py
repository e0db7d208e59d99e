"""Photos around a time of day, ordered along the day."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from telltime.metrics import circular
from telltime.search.errors import SearchError
from telltime.search.telling import Told

BY = ("estimated", "stated")


@dataclass(frozen=True)
class Hit:
    """A photo in the window.

    Attributes:
        told: the photo.
        hour: the time that put it there.
        probability: that its true time lies in the window, by the look of it.
        likeness: cosine of photo and words, where words were asked for.
    """

    told: Told
    hour: float
    probability: float
    likeness: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything, hours in [0, 24)."""
        from telltime.datasets.scan import printable

        return {
            "path": printable(self.told.path),
            "hour": round(self.hour, 4),
            "probability": round(self.probability, 4),
            "estimated_hour": round(self.told.median, 4),
            "stated_hour": self.told.capture.hour,
            "likeness": None if self.likeness is None else round(self.likeness, 4),
        }


def find(
    told: Sequence[Told],
    at: float,
    within: float,
    by: str = "estimated",
    likeness: np.ndarray | None = None,
    top: int | None = None,
) -> list[Hit]:
    """Photos whose time lies in a window, in the order of the day from its start.

    Estimated, a photo's time is its circular median; where two times fit ("morning or evening?"), either counts, if the
    window is at least as probable as any of its length.

    Args:
        told: photos, with what a model says.
        at, within: hours: the window is ``at`` - ``within`` to ``at`` + ``within``.
        by: ``"estimated"``, or ``"stated"``: what the file says.
        likeness: ``[N]`` of photos and words.
        top: keep so many only: the likest to the words, or without words those likeliest in the window.
    """
    if by not in BY:
        raise ValueError(f"by is one of {', '.join(BY)}, not {by!r}")
    hits = []
    for row, one in enumerate(told):
        hour = one.capture.hour if by == "stated" else _inside(one, at, within)
        if hour is not None and circular.distance(hour, at) <= within:
            alike = None if likeness is None else float(likeness[row])
            hit = Hit(one, float(hour), one.within(at, within), alike)
            if by == "stated" or hit.probability >= within / 12:
                hits.append(hit)
    if top is not None and len(hits) > top:
        hits.sort(key=lambda hit: -(hit.probability if hit.likeness is None else hit.likeness))
        hits = hits[:top]
    return sorted(hits, key=lambda hit: ((hit.hour - at + within) % 24, str(hit.told.path)))


def _inside(told: Told, at: float, within: float) -> float | None:
    """The median, or else the likeliest of the times that fit, in the window."""
    hours = [told.median, *(peak.hour for peak in told.peaks if len(told.peaks) > 1)]
    return next((hour for hour in hours if circular.distance(hour, at) <= within), None)


def check_words(tower: Any) -> None:
    """Raise :class:`SearchError` if photos seen through ``tower`` cannot be compared with words."""
    from telltime.backbones.image_tower import CLIP

    if tower.name != CLIP:
        raise SearchError(
            f"words are compared by CLIP, and this model looks through {tower.name}; "
            f"give --model one that was trained with the tower {CLIP}, or leave --text out"
        )


def like_words(told: Sequence[Told], words: str, tower: Any) -> np.ndarray:
    """Cosine of each photo with words, by the text half of the CLIP network whose image half the model looks through.

    Args:
        told: photos with features.
        words: English.
        tower: of the model.

    Returns:
        float64 ``[N]``.

    Raises:
        SearchError: the tower is no CLIP, or its text half cannot be had here.
    """
    from telltime.backbones.image_tower import CLIP

    check_words(tower)
    try:
        from transformers import AutoTokenizer, CLIPTextModelWithProjection
    except ImportError:
        raise SearchError("comparing with words needs the text half of CLIP: pip install transformers") from None
    import torch

    name = f"openai/{CLIP}"
    try:
        model, tokens = CLIPTextModelWithProjection.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    except OSError as error:
        raise SearchError(f"the text half of CLIP ({name}) cannot be had: {error}") from None
    with torch.inference_mode():
        text = model(**tokens([words], return_tensors="pt", truncation=True)).text_embeds[0].double().numpy()
    rows = np.stack([np.asarray(one.feature, np.float64) for one in told])
    return rows @ text / np.maximum(np.linalg.norm(rows, axis=1) * np.linalg.norm(text), 1e-12)
