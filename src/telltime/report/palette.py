"""The colours of reports: every colour is a name that the page gives a value in light and in dark.

Plots are drawn with stand-in colours and handed out with ``var(--name)`` in their place, so that one drawing follows
the reader's colour scheme.
"""

from collections.abc import Mapping

SERIES = ("s0", "s1", "s2", "s3", "s4", "s5")

LIGHT: Mapping[str, str] = {
    "ground": "#faf9f6",
    "card": "#ffffff",
    "ink": "#22272e",
    "muted": "#69717c",
    "line": "#e2e0da",
    "right": "#2f8656",
    "wrong": "#c04a4a",
    "s0": "#2b7a9b",
    "s1": "#bd701f",
    "s2": "#4f9360",
    "s3": "#b2506c",
    "s4": "#7566ad",
    "s5": "#7c858f",
}
DARK: Mapping[str, str] = {
    "ground": "#15181c",
    "card": "#1d2126",
    "ink": "#e4e6e9",
    "muted": "#98a1ac",
    "line": "#32383f",
    "right": "#5cba85",
    "wrong": "#e67c78",
    "s0": "#58aecf",
    "s1": "#e3a15a",
    "s2": "#78bb88",
    "s3": "#d9839b",
    "s4": "#a59ad6",
    "s5": "#a3acb6",
}
STAND_INS: Mapping[str, str] = {name: f"#fe{index:02x}ed" for index, name in enumerate(LIGHT)}


def themed(svg: str) -> str:
    """``svg`` with every stand-in colour replaced by its name."""
    for name, stand_in in STAND_INS.items():
        svg = svg.replace(stand_in, f"var(--{name})")
    return svg


def variables(colours: Mapping[str, str]) -> str:
    """The CSS that gives the names their values."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())
