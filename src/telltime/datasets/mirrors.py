"""Which classes mean something else in a mirror."""

import re
from dataclasses import replace

from telltime.datasets.record import Table

_SIDES = frozenset({"left", "right", "leftward", "rightward", "leftwards", "rightwards", "clockwise"}) | {
    "anticlockwise",
    "counterclockwise",
}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def sided(name: str) -> bool:
    """Whether a class name tells left from right, or which way something turns."""
    return not _SIDES.isdisjoint(word.lower() for word in _WORD.findall(name))


def told_apart(table: Table) -> Table:
    """The table with :attr:`Record.mirrors` false where the class tells left from right."""
    labels = {label for label, name in enumerate(table.classes) if sided(name)}
    if not labels:
        return table
    return replace(table, records=tuple(replace(r, mirrors=False) if r.label in labels else r for r in table.records))
