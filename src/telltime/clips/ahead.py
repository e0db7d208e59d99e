"""Work done ahead of its use, in a thread: decoding releases Python's lock, so a network can run beside it."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")
_PATIENCE = 0.1


class Ahead(Iterator[T], Generic[T]):
    """The items of an iterable, made in a thread that starts at once and keeps at most ``depth`` of them waiting.

    An error in the making is raised where its item would have come. :meth:`close` lets the thread end after the item at
    hand; it is called when the last reference goes.
    """

    def __init__(self, items: Iterable[T], depth: int = 2) -> None:
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
        self._over = threading.Event()
        threading.Thread(target=_fill, args=(items, self._ready, self._over), daemon=True).start()

    def __iter__(self) -> "Ahead[T]":
        return self

    def __next__(self) -> T:
        if self._over.is_set():
            raise StopIteration
        item, error = self._ready.get()
        if error is not None:
            self._over.set()
            raise error
        return item  # type: ignore[return-value]

    def close(self) -> None:
        """Take no more."""
        self._over.set()

    def __del__(self) -> None:
        self._over.set()


def _fill(
    items: Iterable[T], ready: "queue.Queue[tuple[T | None, BaseException | None]]", over: threading.Event
) -> None:
    """Put the items, then what ended them; it knows nothing of the :class:`Ahead`, whose end it must not put off."""

    def put(item: T | None, error: BaseException | None = None) -> bool:
        while not over.is_set():
            try:
                ready.put((item, error), timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False

    try:
        for item in items:
            if not put(item):
                return
        put(None, StopIteration())
    except BaseException as error:
        put(None, error)


def made_ahead(
    items: Iterable[S], make: Callable[[S], T], threads: int, depth: int
) -> Iterator[tuple[S, T | Exception]]:
    """Every item, in order, with what ``make`` makes of it, or the error that it raised.

    Args:
        threads: that make; 0 makes each when it is asked for.
        depth: how many may be made, or in the making, before they are asked for.
    """

    def one(item: S) -> T | Exception:
        try:
            return make(item)
        except Exception as error:  # for the one who asks, in the order of the items
            return error

    if not threads:
        yield from ((item, one(item)) for item in items)
        return
    waiting: deque[tuple[S, Future[T | Exception]]] = deque()
    with ThreadPoolExecutor(threads, "ahead") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(one, item)))
                if len(waiting) > depth:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
