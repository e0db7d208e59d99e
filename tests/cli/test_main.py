"""The command line as a user meets it: quick answers, one sentence for what goes wrong, exit codes that say which."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import telltime
from telltime.cli import main as module
from telltime.cli.main import main, parser_of, verbs
from telltime.datasets.record import DatasetError
from telltime.media.errors import TooShort

HEAVY = ("torch", "torchvision", "timm", "matplotlib", "accelerate", "jsonargparse", "scipy", "sklearn")


def telltime_command(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "telltime.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60)


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], list[str]]:
    """Makes ``convert`` raise something; gives the arguments to reach it."""

    def arrange(error: BaseException) -> list[str]:
        def run(args: object) -> int:
            raise error

        monkeypatch.setattr("telltime.cli.convert.run", run)
        return ["convert", "file.pth", "--out", "folder"]

    return arrange


def test_help_names_every_verb_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb in verbs():
        summary = module._module(verb).SUMMARY
        assert f"  {verb:<10} {summary}\n" in shown
        assert "\n" not in summary
    assert "examples:" in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"telltime {telltime.__version__}\n"


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_with_examples_that_parse(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"telltime {verb}" in shown
    assert "examples:" in shown
    examples = [line.strip() for line in getattr(module._module(verb), "EXAMPLES", "").splitlines()]
    for example in examples:
        if example.startswith(f"telltime {verb} "):
            arguments = example.partition(">")[0].split()[2:]
            assert parser_of(verb).parse_args(arguments) is not None


@pytest.mark.parametrize("verb", ["", *verbs()])
def test_help_imports_nothing_heavy(verb: str) -> None:
    code = (
        "import sys; from telltime.cli.main import main\n"
        f"assert main({[verb, '--help'] if verb else ['--help']}) == 0\n"
        f"heavy = set({HEAVY}) & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["fitt"], 2),
        (["convert"], 2),
        (["convert", "no-such-file.pth", "--out", "out"], 1),
        (["convert", "file.pth", "--out", "out", "--forse"], 2),
    ],
)
def test_answers_come_in_under_half_a_second(arguments: list[str], code: int, tmp_path: Path) -> None:
    def spent() -> float:  # of the processor, so that other work on the machine does not count
        times = os.times()
        return times.children_user + times.children_system

    before = spent()
    assert telltime_command(*arguments, cwd=tmp_path).returncode == code
    assert spent() - before < 0.5


def test_nothing_to_do_shows_the_help_and_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: telltime VERB" in capsys.readouterr().out


@pytest.mark.parametrize(("verb", "near"), [("convret", "convert"), ("Convert", "convert"), ("--convert", "convert")])
def test_an_unknown_verb_names_the_nearest(verb: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb]) == 2
    shown = capsys.readouterr().err
    assert f"did you mean {near}?" in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("verb", ["main", "__init__", "../convert", "os", "convert.py", ""])
def test_only_verbs_are_verbs(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb]) == 2
    assert "there is no" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["convert"], "required: FILE, --out"),
        (["convert", "f.pth", "--out", "d", "--forse"], "unknown argument --forse; did you mean --force?"),
        (["convert", "f.pth", "--out", "d", "more"], "unknown argument more"),
        (["convert", "f.pth", "--ou", "d"], "required: --out"),
        (["convert", "f.pth", "--out"], "expected one argument"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert says in shown
    assert "telltime convert --help" in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (TooShort("clip.mp4", "12 frames, 57 needed"), "telltime: clip.mp4: 12 frames, 57 needed\n"),
        (DatasetError("two\nlines"), "telltime: two lines\n"),
        (PermissionError(13, "Permission denied", "out"), "telltime: out: Permission denied\n"),
        (OSError(28, "No space left on device"), "telltime: No space left on device\n"),
        (KeyError("x"), "telltime: KeyError: 'x' (unexpected; --debug shows where)\n"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    error: Exception, says: str, wrong: Callable[[BaseException], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(wrong(error)) == 1
    shown = capsys.readouterr()
    assert shown.err == says
    assert shown.out == ""


def test_debug_shows_the_traceback(wrong: Callable[[BaseException], list[str]]) -> None:
    arguments = wrong(TooShort("clip.mp4", "why"))
    for place in (0, 1, 4):
        with pytest.raises(TooShort):
            main([*arguments[:place], "--debug", *arguments[place:]])


def test_an_interrupt_is_130(wrong: Callable[[BaseException], list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(wrong(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "telltime: interrupted\n"


@pytest.mark.parametrize("arguments", [["--help"], ["convert", "--help"]])
def test_a_reader_that_leaves_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "telltime.cli.main", *arguments]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, env=buffered)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
