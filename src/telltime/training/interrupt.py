"""Stopping politely: the step under way is finished and saved before the process ends."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether a signal has asked the training to stop, and which (0: none)."""

    def __init__(self) -> None:
        self.signal = 0

    def __bool__(self) -> bool:
        return self.signal != 0

    def comes(self, within: float) -> bool:
        """Whether a signal has come, or does so within some seconds: a group of processes is not told all at once."""
        end = time.monotonic() + within
        while not self and time.monotonic() < end:
            time.sleep(0.02)
        return bool(self)

    def ask(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@contextmanager
def polite_stop() -> Iterator[Stop]:
    """Within, SIGTERM and the first SIGINT only set a flag; a second SIGINT stops at once.

    Loading processes may end of the same signal; once it has come, PyTorch no longer makes an error of that.
    Signals belong to the main thread: in another one this changes nothing.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGCHLD] = signal.getsignal(signal.SIGCHLD)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
