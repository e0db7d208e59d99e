"""``telltime demo``: the two-minute walk."""

import argparse
from pathlib import Path

SUMMARY = "learn from generated footage, measure it, search real shots, and write a report; a few minutes"

EXAMPLES = """\
examples:
  telltime demo
  telltime demo --out my-demo --seed 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``demo``."""
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where to write (default: demo)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random")
    parser.add_argument("--max-steps", type=int, metavar="N", help="end the training after N steps")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that read videos (default 1)")
    parser.add_argument(
        "--json", action="store_true", help="print demo.json at the end; progress goes to standard error"
    )


def run(args: argparse.Namespace) -> int:
    """Walk, write the page, say what was learned."""
    import sys

    from telltime.demo.page import last_screen, write_page
    from telltime.demo.walk import walk
    from telltime.training.progress import console

    told = walk(args.out, console(sys.stderr if args.json else sys.stdout), args.seed, args.max_steps, args.workers)
    report = write_page(told)
    print((args.out / "demo.json").read_text() if args.json else "\n" + last_screen(told, report))
    return 0
