"""Published annotations that come as pickles: plain values and sets, and not one name more."""

import pickle
from pathlib import Path
from typing import Any

from telltime.datasets.record import DatasetError
from telltime.datasets.scan import printable

_LARGEST = 2**28


class _Plain(pickle.Unpickler):
    """Takes numbers, text, lists, tuples, dictionaries and sets; every other name is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in ("set", "frozenset"):
            return set if name == "set" else frozenset
        raise pickle.UnpicklingError(f"it names {module}.{name}, expected nothing but plain values")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside, expected nothing but plain values")


def read_pickled(path: Path) -> Any:
    """The value in a pickle of plain values.

    Raises:
        DatasetError: there is no such file, it is damaged, larger than 256 MB, or names anything but a set.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise DatasetError(f"{printable(path)} is larger than an annotation file is")
        with path.open("rb") as file:
            return _Plain(file).load()
    except OSError as error:
        raise DatasetError(f"{printable(path)} cannot be read: {error.strerror or error}") from error
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
        raise DatasetError(f"{printable(path)} is no annotation file: {error}") from error
