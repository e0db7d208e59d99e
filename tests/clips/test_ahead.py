import gc
import threading
import time

import pytest

from telltime.clips.ahead import Ahead


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
