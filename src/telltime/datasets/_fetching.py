"""Asking a web service politely: a rate that is kept, errors that pass waited out, answers of bounded size."""

import http.client
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

LONGEST_WAIT = 300.0
"""Seconds that are waited at most before asking again, whatever the service says."""


class Refused(Exception):
    """The service will not give this, and asking again would not help.

    Attributes:
        status: the HTTP status, 0 where there is none.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class Passing(Exception):
    """An error that may pass.

    Attributes:
        wait: seconds after which the service wants to be asked again, where it says so.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Stopped(Exception):
    """The work was called off while waiting."""


class TokenBucket:
    """Keeps calls from many threads to a rate.

    Args:
        per_hour: calls an hour, in the long run.
        burst: calls that may be made at once after a rest.
    """

    def __init__(self, per_hour: float, burst: int = 1) -> None:
        if per_hour <= 0 or burst < 1:
            raise ValueError(f"per_hour must be above 0 and burst at least 1, not {per_hour} and {burst}")
        self._interval, self._burst = 3600 / per_hour, burst
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def take(self, stop: threading.Event) -> None:
        """Wait for this call's turn; raises :class:`Stopped` once ``stop`` is set."""
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now - (self._burst - 1) * self._interval)
            self._next = turn + self._interval
        if stop.wait(max(0.0, turn - now)):
            raise Stopped

    def hold(self, seconds: float) -> None:
        """Let nobody who has no turn yet go for ``seconds``."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


def get(url: str, timeout: float, largest: int, allowed: Callable[[str], bool]) -> bytes:
    """The body of ``url``, whole.

    Args:
        url: where to go.
        timeout: seconds without an answer after which it is given up.
        largest: bytes.
        allowed: whether an address may be asked, redirections too.

    Raises:
        Refused: it is not allowed, not there, forbidden or too large.
        Passing: the service is busy or cannot be reached, or the answer broke off.
    """
    if not allowed(url):
        raise Refused(f"it is at {urlsplit(url).hostname or 'no address'}, which is not asked")
    request = urllib.request.Request(url, headers={"User-Agent": "telltime"})
    try:
        with urllib.request.build_opener(_Redirects(allowed)).open(request, timeout=timeout) as answer:
            body: bytes = answer.read(largest + 1)
            length = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        wait = error.headers.get("Retry-After", "")
        error.close()
        if error.code in (408, 425, 429) or error.code >= 500:
            passed = f"the service answered with status {error.code}"
            raise Passing(passed, float(wait) if wait.isdecimal() else None) from None
        raise Refused(f"the service answered with status {error.code}", error.code) from None
    except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
        raise Passing(f"no answer: {getattr(error, 'reason', error) or type(error).__name__}") from None
    if len(body) > largest:
        raise Refused(f"it is larger than {largest} bytes")
    if length is not None and length.isdecimal() and int(length) != len(body):
        raise Passing(f"the answer broke off after {len(body)} of {length} bytes")
    return body


def patiently(
    call: Callable[[], T], stop: threading.Event, tries: int, pause: float, held: Callable[[float], None] | None = None
) -> T:
    """``call()``, again after longer and longer waits while it raises :class:`Passing`.

    Args:
        call: what to do.
        stop: calls the waiting off.
        tries: how often in all.
        pause: seconds before the second try; doubled each time, and varied by half so that threads do not march.
        held: told the seconds when the service itself asks to wait.

    Raises:
        Passing: the last try's.
        Stopped: ``stop`` was set.
    """
    for attempt in range(tries):
        if stop.is_set():
            raise Stopped
        try:
            return call()
        except Passing as error:
            if attempt == tries - 1:
                raise
            wait = pause * 2**attempt * random.uniform(0.5, 1.5)
            if error.wait is not None:
                wait = error.wait
                if held:
                    held(min(wait, LONGEST_WAIT))
            if stop.wait(min(wait, LONGEST_WAIT)):
                raise Stopped from None
    raise AssertionError("tries must be at least 1")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if not self._allowed(newurl):
            raise Refused(f"it has moved to {urlsplit(newurl).hostname}, which is not asked", code)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
