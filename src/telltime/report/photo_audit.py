"""The page of an audit: clocks that seem wrong, with what would mend them, and photos that do not fit."""

from pathlib import Path

import numpy as np

from telltime.datasets.scan import printable
from telltime.report.clock import hhmm
from telltime.report.contact_sheet import card
from telltime.report.page import Page
from telltime.search.clock_offset import likelihoods
from telltime.search.photo_audit import Audit, Period, look_command, mend_command, mended

_CARDS, _SUSPECTS, _FILES = 8, 48, 20


def write_audit(found: Audit, folder: Path, path: str | Path) -> Path:
    """Write the page and return its path."""
    judged = sum(len(period.photos) for period in found.periods)
    page = Page("Do the clocks fit the photos?", f"{judged + len(found.unclaimed)} photos below {printable(folder)}")
    page.scores(
        {
            "clocks that seem wrong": len(found.wrong),
            "clocks looked at": len(found.periods),
            "photos that do not fit": len(found.suspects),
            "photos without a time": len(found.unclaimed),
        }
    )
    page.section("Clocks", "What must be added to the claimed times, by all photos of a camera and period together.")
    page.table(
        ["camera", "photos", "from", "to", "verdict", "best offset (min)", "90 % interval (min)", "probability wrong"],
        [_row(period) for period in found.periods],
    )
    for period in found.wrong:
        _section(page, period)
    if found.suspects:
        page.section(
            "Photos that do not fit",
            f"p below {found.level:g}, worst first; right photos come so low as often by chance.",
        )
        page.sheet(
            [
                card(one.told, f"p {one.p_value:.3f}: claims {hhmm(one.told.capture.hour or 0.0)}, looks like "
                f"{hhmm(one.told.median)}")
                for one in found.suspects[:_SUSPECTS]
            ]
        )  # fmt: skip
    page.text("No photo was changed.")
    return page.write(path)


def _row(period: Period) -> list[object]:
    first, last = (period.photos[i].capture.local for i in (0, -1))
    start, end = (f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in (first, last))
    if period.offset is None:
        return [period.camera, len(period.photos), start, end, "too few photos", "", "", ""]
    low, high = period.offset.interval
    verdict = f"add {_hours(period.mending)}" if period.wrong else "seems right"
    best, sure = str(period.offset.minutes), f"{period.offset.probability:.3f}"
    return [period.camera, len(period.photos), start, end, verdict, best, f"{low} to {high}", sure]


def _section(page: Page, period: Period) -> None:
    offset = period.offset
    assert offset is not None
    page.section(f"{period.camera}: add {_hours(period.mending)}", "How well every offset explains its photos.")
    page.figure(_curve(period), "Mean log-likelihood of a photo over the offset in hours; the line marks what to add.")
    shown = period.photos[:: max(1, len(period.photos) // _CARDS)][:_CARDS]
    page.sheet([card(told, f"claims {mended(told, 0)}, mended {mended(told, period.mending)}") for told in shown])
    files = [told.path for told in period.photos]
    some = files[:_FILES]
    more = f"# and {len(files) - len(some)} more files" if len(files) > len(some) else ""
    page.code(
        ["# shows the mended times, writes nothing:", look_command(period.mending, some), "# would write them:",
         mend_command(period.mending, some), *([more] if more else [])]
    )  # fmt: skip


def _curve(period: Period) -> str:
    """Mean log-likelihood over offsets, -12 h to +12 h, as SVG."""
    hours = np.array([told.capture.hour for told in period.photos], dtype=np.float64)
    mean = likelihoods(np.stack([told.density for told in period.photos]), hours).mean(axis=0)
    turned = np.roll(mean, len(mean) // 2)
    low, high = turned.min(), turned.max()
    x = 30 + 580 * np.arange(len(turned)) / (len(turned) - 1)
    y = 110 - 95 * (turned - low) / max(high - low, 1e-9)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    at = 30 + 580 * (period.mending / 60 + 12) / 24
    parts = [
        '<svg viewBox="0 0 640 140" role="img" aria-label="likelihood of every offset">',
        f'<line x1="{at:.1f}" y1="8" x2="{at:.1f}" y2="114" stroke="var(--s1)" stroke-width="2"/>',
        f'<polyline points="{points}" fill="none" stroke="var(--s0)" stroke-width="2"/>',
    ]
    for hour in range(-12, 13, 3):
        place = 30 + 580 * (hour + 12) / 24
        parts.append(
            f'<text x="{place:.1f}" y="130" text-anchor="middle" font-size="11" fill="var(--muted)">{hour:+d} h</text>'
        )
    return "".join(parts) + "</svg>"


def _hours(minutes: int) -> str:
    whole, rest = divmod(abs(minutes), 60)
    words = [f"{whole} h"] * (whole > 0) + [f"{rest} min"] * (rest > 0)
    return f"{'-' if minutes < 0 else '+'}{' '.join(words)}" if words else "0"
