import gc
import threading
import time

import pytest

from telltime.clips.ahead import Ahead, made_ahead


def fillers():
    return [thread for thread in threading.enumerate() if "_fill" in thread.name]


def waited(what, seconds=5.0):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return what()


def test_items_come_in_order_and_end():
    items = Ahead(iter(range(100)), depth=3)
    assert list(items) == list(range(100))
    with pytest.raises(StopIteration):
        next(items)


def test_an_error_comes_where_its_item_would_have():
    def broken():
        yield 1
        raise OSError("torn cable")

    items = Ahead(broken())
    assert next(items) == 1
    with pytest.raises(OSError, match="torn cable"):
        next(items)
    with pytest.raises(StopIteration):
        next(items)


def test_no_more_than_depth_wait_to_be_taken():
    made = []

    def counted():
        for number in range(50):
            made.append(number)
            yield number

    items = Ahead(counted(), depth=4)
    assert next(items) == 0
    time.sleep(0.2)
    assert len(made) <= 6
    items.close()


@pytest.mark.parametrize("how", ["close", "forget"])
def test_a_taker_that_leaves_lets_the_thread_end(how):
    before = len(fillers())
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield bytes(10)
        finally:
            closed.set()

    items = Ahead(endless(), depth=2)
    assert next(items)
    if how == "close":
        items.close()
    else:
        del items
        gc.collect()
    assert waited(lambda: len(fillers()) <= before)
    gc.collect()
    assert waited(closed.is_set)


@pytest.mark.parametrize("threads", [0, 3])
def test_what_is_made_comes_in_order_and_errors_in_their_place(threads):
    def make(number):
        time.sleep(0.002 * (number % 3))
        if number == 4:
            raise ValueError("four")
        return number**2

    found = list(made_ahead(range(9), make, threads, 4))
    assert [item for item, _ in found] == list(range(9))
    assert str(found[4][1]) == "four"
    assert [made for item, made in found if item != 4] == [item**2 for item in range(9) if item != 4]


def test_no_more_is_made_than_is_wanted():
    made = []
    steps = made_ahead(range(100), made.append, 2, 5)
    next(steps)
    steps.close()
    assert len(made) <= 6
