"""Photos side by side, each with its time: what a search by time of day found."""

from collections.abc import Sequence
from pathlib import Path

from telltime.datasets.scan import printable
from telltime.media.errors import MediaError
from telltime.media.frames import Limits
from telltime.report.clock import hhmm, svg
from telltime.report.page import Page
from telltime.report.strips import Strip
from telltime.search.by_time import Hit
from telltime.search.telling import Told

_HEIGHT = 240


def write_sheet(
    hits: Sequence[Hit], path: str | Path, at: float, within: float, total: int, words: str | None = None
) -> Path:
    """Write the page of a search, hour by hour along the day, and return its path.

    Args:
        hits: in the order of the day.
        path: where to.
        at, within: the window, hours.
        total: photos searched.
        words: that were asked for, if any.
    """
    start, end = hhmm((at - within) % 24), hhmm((at + within) % 24)
    about = f"{words}, " if words else ""
    page = Page(f"Photos around {hhmm(at)}", f"{about}{start} to {end}: {len(hits)} of {total} photos")
    hour: int | None = None
    block: list[tuple[Strip, str]] = []

    def flush() -> None:
        if block and hour is not None:
            page.section(f"{hour:02d}:00").sheet(block)
            block.clear()

    for hit in hits:
        if int(hit.hour) != hour:
            flush()
            hour = int(hit.hour)
        block.append(card(hit.told, f"{hhmm(hit.hour)}, {hit.probability:.0%} in the window"))
    flush()
    if not hits:
        page.text("No photo of the folder is from this time of day.")
    return page.write(path)


def card(told: Told, caption: str) -> tuple[Strip, str]:
    """A photo with its words, and its clock."""
    stated = "no time in the file" if told.capture.hour is None else f"the file says {hhmm(told.capture.hour)}"
    picture = thumbnail(told.path)
    dial = svg(told.density, told.median, told.arcs, claimed=told.capture.hour, size=96)
    return Strip(picture, caption, f"{printable(told.path.name)}; {stated}"), dial


def thumbnail(path: Path, height: int = _HEIGHT) -> str:
    """A small copy as a data URI; empty where the photo cannot be read any more."""
    import base64
    import io

    from telltime.media.image import open_upright

    try:
        with open_upright(path, Limits(), height) as image:
            image.thumbnail((2 * height, height))
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=72)
    except MediaError:
        return ""
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
