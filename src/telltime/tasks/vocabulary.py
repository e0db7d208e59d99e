"""Which output of a classifier stands for which class of a data set."""

from collections.abc import Sequence

import numpy as np

from telltime.checkpoints.model import Model
from telltime.datasets.record import DatasetError, Table
from telltime.tasks.measuring import listed


def columns_of(model: Model, table: Table) -> tuple[np.ndarray, tuple[str, ...]]:
    """Where the classes of a table are among the model's outputs.

    A model that knows the names of its classes is asked by name; of one that does not, outputs are in the order of the
    data set's classes, the first of one more standing for nothing, as TCLR's files have it.

    Returns:
        int64 ``[classes of the table]``, a column each (-1 for one that no record has and the model does not know), and
        the names of all columns.

    Raises:
        DatasetError: the model has no classifier, or one of other classes.
    """
    if model.classifier is None:
        raise DatasetError(
            "the model has no classifier to measure; 'telltime evaluate finetune' trains and saves one, "
            "and so does 'telltime fit' with a recipe of TIME"
        )
    outputs, classes = model.classifier.out_features, table.classes
    known = model.meta.get("labels")
    if known is not None and len(known) == outputs:
        return _by_name([str(name) for name in known], table)
    if outputs == len(classes):
        return np.arange(outputs), tuple(classes)
    if outputs == len(classes) + 1 and model.meta.get("method") == "tclr":
        return np.arange(1, outputs), ("", *classes)
    raise DatasetError(
        f"the model's classifier tells {outputs} classes, {table.name} has {len(classes)}; "
        "measure on the data it was trained for, or fine-tune it on this"
    )


def _by_name(known: Sequence[str], table: Table) -> tuple[np.ndarray, tuple[str, ...]]:
    place = {_plain(name): column for column, name in enumerate(known)}
    columns = np.array([place.get(_plain(name), -1) for name in table.classes], dtype=np.int64)
    asked = {record.label for record in table.records if record.label is not None}
    if strange := [table.classes[label] for label in sorted(asked) if columns[label] < 0]:
        raise DatasetError(
            f"the model's classifier was trained on {listed(known)}; it does not know {listed(strange)} of {table.name}"
        )
    return columns, tuple(known)


def _plain(name: str) -> str:
    """A class's name without what spellings of it differ in: case, brackets, underscores."""
    return " ".join(name.translate(_SPELLING).casefold().split())


_SPELLING = str.maketrans({"[": None, "]": None, "_": " "})
