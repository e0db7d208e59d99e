"""What the page of a time-sensitivity evaluation shows beyond its scores.

``arrangements``
    arrangement of the frames to ``{"top-1", "confidence"}``.
``class_drops``
    ``(class name, telltime.metrics.time_sensitivity.ClassDrop)``, the class that loses most first.
``arranged_videos``
    a list of ``{"id", "label", "arrangements"}``, each of those ``{"name", "frames", "told", "confidence", "correct"}``
    with frames uint8 ``[T, 3, H, W]``.
"""

from collections.abc import Mapping
from typing import Any

from telltime.report import plots
from telltime.report.page import Page
from telltime.report.strips import Row, Strip, strip

_FRAMES = 5
_HEIGHT = 64
_MOST = 30


def sections(page: Page, details: Mapping[str, Any]) -> None:
    """Add the scores beside each other, videos as each arrangement shows them, and what each class loses."""
    given = details["arrangements"]
    page.section("In order and otherwise", "The same clips with their frames in order, reversed, shuffled and frozen.")
    chance = details.get("chance", {}).get("ordered_top1")
    page.figure(plots.compare(given, chance=chance))
    if shown := [video for video in details.get("arranged_videos", ()) if video["arrangements"]]:
        page.section(
            "What is said of them",
            "A video of each of the classes that lose most; below each clip the class it is taken for, and how surely.",
        )
        page.strips([_row(video) for video in shown])
    drops = details.get("class_drops")
    if drops:
        page.section(
            "Which classes need time",
            "Share that is right in order less the larger of shuffled and frozen; an asterisk marks classes that need "
            "time.",
        )
        page.figure(plots.bars({f"{name} *" if drop.needs else name: drop.drop for name, drop in drops}))
        names = list(drops[0][1].right)
        rows = [
            (name, drop.videos, *(f"{drop.right[one]:.0%}" for one in names), f"{drop.drop:+.0%}", f"{drop.chance:.3f}")
            for name, drop in drops
        ]
        folded = f"All {len(rows)} classes" if len(rows) > _MOST else ""
        page.table(["class", "videos", *names, "drop", "by chance"], rows, folded)


def _row(video: Mapping[str, Any]) -> Row:
    first, *others = [_strip(one, video) for one in video["arrangements"]]
    return Row(first, others)


def _strip(one: Mapping[str, Any], video: Mapping[str, Any]) -> Strip:
    said = f"{one['name']}: {one['told']}, {one['confidence']:.0%}"
    caption = f"{video['label']}" if one["name"] == "ordered" else one["name"]
    detail = said if one["name"] == "ordered" else f"{one['told']}, {one['confidence']:.0%}"
    return strip(one["frames"], caption, detail, one["correct"], most=_FRAMES, height=_HEIGHT)
