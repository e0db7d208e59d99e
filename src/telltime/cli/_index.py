"""Options of the verbs that use an index, and what they say."""

import argparse
from typing import TYPE_CHECKING

from telltime.cli._reading import whole_number

if TYPE_CHECKING:
    from telltime.search.index import Index


def add_index(parser: argparse.ArgumentParser) -> None:
    """Which index, which model, which device."""
    parser.add_argument("--index", required=True, metavar="DIR", help="folder of the index, or a URI such as s3://...")
    parser.add_argument("--model", metavar="MODEL", help="what describes videos; an index remembers its own")
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda; by default a GPU if there is one")


def add_wait(parser: argparse.ArgumentParser) -> None:
    """How long to wait for another writer."""
    parser.add_argument(
        "--wait", type=seconds, default=0.0, metavar="SECONDS", help="wait while another process writes (default 0)"
    )


def seconds(text: str) -> float:
    """An argparse type: a number of at least 0."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def positive(text: str) -> int:
    """An argparse type: a whole number above 0."""
    return int(whole_number(1)(text))


def opened(args: argparse.Namespace) -> "Index":
    """The index that the options name."""
    from telltime.search.index import Index

    storage, wait = getattr(args, "to", None), getattr(args, "wait", 0.0)
    return Index(args.index, args.model, wait=wait, device=args.device, storage=storage)


def count(number: int, word: str) -> str:
    """``"1 video"``, ``"2 videos"``."""
    return f"{number:,} {word}{'s' * (number != 1)}"
