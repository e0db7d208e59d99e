"""The ``telltime`` command: finds the verb, reads its arguments, and turns what goes wrong into one sentence.

A verb is a module of this package with ``SUMMARY`` (one line), ``add_arguments(parser)``, ``run(args) -> int`` and, for
its help, ``EXAMPLES``. Only the verb asked for is imported, and no verb imports torch before it has something to do.

Exit codes: 0 done, 1 the data or the model is at fault, 2 the command line is, 130 interrupted.
"""

import argparse
import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from telltime import __version__

_ORDER = ("demo", "when", "photos", "segment", "data", "fit", "evaluate", "embed", "index", "search", "copies")
EXAMPLES = """\
examples:
  telltime demo
  telltime fit tclr-small --data folder --root MY_VIDEOS --out runs/mine
  telltime evaluate neighbours runs/mine --data folder --root MY_VIDEOS --out results
  telltime index MY_VIDEOS --index my-index
  telltime search CLIP --index my-index
  telltime VERB --help
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line with a hint, and which names the nearest option."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def parse_args(self, args: Sequence[str] | None = None, namespace: None = None) -> argparse.Namespace:  # type: ignore[override]
        found, unknown = self.parse_known_args(args)
        if unknown:
            option = unknown[0].partition("=")[0]
            self.error(f"unknown argument {unknown[0]}{near(option, self.options())}")
        return found

    def options(self) -> list[str]:
        """The options of this parser and of those below it."""
        found: list[str] = []
        for action in self._actions:
            found += action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    found += parser.options()
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Threads that wait for each other by spinning make a step several times slower when other work shares the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    argv = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in argv
    argv = [argument for argument in argv if argument != "--debug"]
    try:
        try:
            return _run(argv)
        except SystemExit as stop:  # argparse has said what it had to say
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has had enough, as in `telltime ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        if debug:
            raise
        print("telltime: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        print(f"telltime: {_sentence(error)}", file=sys.stderr)
        return 1


def verbs() -> list[str]:
    """The verbs there are: every public module of this package but this one."""
    found = {path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[!_]*.py")} - {"main"}
    return sorted(found, key=lambda verb: (_ORDER.index(verb) if verb in _ORDER else len(_ORDER), verb))


def parser_of(verb: str) -> Parser:
    """The parser of one verb."""
    module = _module(verb)
    examples = getattr(module, "EXAMPLES", "")
    summary = f"{module.SUMMARY[:1].upper()}{module.SUMMARY[1:].rstrip('.')}."
    parser = Parser(prog=f"telltime {verb}", description=summary, epilog=examples)
    module.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def near(name: str, names: Iterable[str]) -> str:
    """A question naming what is spelt nearly like ``name``; empty if nothing is."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if argv else 2
    verb = argv[0]
    if verb == "--version":
        print(f"telltime {__version__}")
        return 0
    if verb not in verbs():
        what = "option" if verb.startswith("-") else "verb"
        print(f"telltime: there is no {what} {verb}{near(verb, verbs())}; see telltime --help", file=sys.stderr)
        return 2
    return int(_module(verb).run(parser_of(verb).parse_args(argv[1:])) or 0)


def _module(verb: str) -> ModuleType:
    return import_module(f"telltime.cli.{verb.replace('-', '_')}")


def _help() -> str:
    lines = "\n".join(f"  {verb:<10} {_module(verb).SUMMARY}" for verb in verbs())
    return (
        "usage: telltime VERB ...\n\n"
        "Learns visual representations from time, measures them, and puts them to work.\n\n"
        f"verbs:\n{lines}\n\n"
        "options:\n"
        "  --help     this text; telltime VERB --help for one verb, with examples\n"
        "  --version  the version\n"
        "  --debug    with any verb: show the traceback of an error\n\n"
        f"{EXAMPLES}"
    )


def _sentence(error: Exception) -> str:
    """One sentence: the message of an error of this package, else its type too and how to see more."""
    if type(error).__module__.startswith("telltime."):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    first = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {first} (unexpected; --debug shows where)"


if __name__ == "__main__":
    sys.exit(main())
