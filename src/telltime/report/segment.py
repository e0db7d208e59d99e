"""The page of ``telltime segment``: frames and what was found in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from telltime.datasets.scan import printable
from telltime.report.dense import sections
from telltime.report.page import Page
from telltime.tasks.segment import Segmented


def write_segments(found: Sequence[Segmented], out: Path, told: Mapping[str, object]) -> Path:
    """Write ``out/report.html`` and return its path.

    Args:
        found: the videos that could be segmented, at least one.
        told: how it was done, each with its name, e.g. model and number of labels.
    """
    page = Page("Segmented videos", ", ".join(f"{name} {value}" for name, value in told.items() if value is not None))
    scores: dict[str, float | str] = {"videos": len(found), "frames": sum(one.frames for one in found)}
    true = [one.scores["J"] for one in found if one.scores]
    if true:
        scores["mean J"] = sum(true) / len(true)
    page.scores(scores, {"mean J": f"of {len(true)} videos that have masks of their own"} if true else None)
    sections(page, {"segmented": [one.shown for one in found]})
    columns = ["J", "J_objects"] if true else []
    page.table(
        ["video", "frames", "objects", "seconds a frame", *columns, "to look at"],
        [
            [
                printable(one.path),
                one.frames,
                len(one.labels),
                round(one.seconds / one.frames, 2),
                *(round(one.scores[c], 3) if c in one.scores else "" for c in columns),
                f"{one.video.name}, {one.gif.name}, masks/{one.name}",
            ]
            for one in found
        ],
    )
    if true:
        page.text(
            "J is the intersection over union of everything found with all true objects, without looking at the truth"
            " for which label is which. J_objects is that of each true object with the label that fits it best."
        )
    return page.write(out / "report.html")
