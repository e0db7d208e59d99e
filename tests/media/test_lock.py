"""One holder at a time: others wait or are told who it is, and the dead hold nothing."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from telltime.media.lock import FileLock, Held

HOLD = """
import sys, time
from pathlib import Path
from telltime.media.lock import FileLock
with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process with the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_another_process_is_named_and_the_dead_hold_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as process:
        with pytest.raises(Held, match=rf"{re.escape(str(path))} is held by process {process.pid} on \S+$"):
            FileLock(path, wait=0).__enter__()
        began = time.monotonic()
        with pytest.raises(Held):
            FileLock(path, wait=0.3).__enter__()
        assert 0.3 <= time.monotonic() - began < 5
        os.kill(process.pid, signal.SIGKILL)
        with FileLock(path, wait=20):
            assert path.read_text().startswith(f"process {os.getpid()} on ")


def test_without_a_limit_it_waits_for_the_death_of_the_holder(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as process:
        threading.Timer(0.3, process.kill).start()
        with FileLock(tmp_path / "lock"):
            assert process.wait(20)


@pytest.mark.parametrize("wait", [None, 20.0])
def test_threads_go_one_after_the_other(tmp_path: Path, wait: float | None) -> None:
    path, inside, most = tmp_path / "lock", [0], [0]

    def work() -> None:
        for _ in range(5):
            with FileLock(path, wait):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_it_is_free_after_an_error_and_used_again(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock", wait=0)
    with pytest.raises(KeyError), lock:
        raise KeyError
    with lock, pytest.raises(Held, match=f"process {os.getpid()}"):
        FileLock(tmp_path / "lock", wait=0).__enter__()
    lock.__exit__()
    with lock:
        pass


def test_a_holder_that_left_no_name_is_another_process(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock") as lock:
        lock.path.write_text("")
        with pytest.raises(Held, match="held by another process"):
            FileLock(tmp_path / "lock", wait=0).__enter__()


def test_a_place_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "gone" / "lock").__enter__()
    assert not (tmp_path / "gone").exists()
