"""``telltime photos``: collect, clean, audit and search photos by their time.

A sub-verb is a module ``_photos_NAME`` of this package with ``SUMMARY``, ``EXAMPLES``, ``add_arguments(parser)`` and
``run(args) -> int``.
"""

import argparse
from importlib import import_module
from pathlib import Path

SUMMARY = "scan, download, audit and find photos by the time they were taken"

_ORDER = ("scan", "download", "audit", "find")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``photos ACTION``."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    examples = []
    for name in _actions():
        module = import_module(f"telltime.cli._photos_{name}")
        below = verbs.add_parser(
            name,
            help=module.SUMMARY,
            description=f"{module.SUMMARY[:1].upper()}{module.SUMMARY[1:]}.",
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(below)
        below.set_defaults(action_module=module)
        examples += [line for line in module.EXAMPLES.splitlines() if line.strip().startswith("telltime ")][:1]
    parser.epilog = "\n".join(["examples:", *examples, "  telltime photos ACTION --help", ""])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(args: argparse.Namespace) -> int:
    """Do what the sub-verb says."""
    return int(args.action_module.run(args) or 0)


def _actions() -> list[str]:
    found = {path.stem.removeprefix("_photos_") for path in Path(__file__).parent.glob("_photos_*.py")}
    return sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
