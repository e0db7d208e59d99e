"""Annotation files others publish: JSON, or a pickle of plain containers that is read without running it."""

import json
from pathlib import Path
from typing import Any

from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.pickles import unpickle


def read_annotation(path: str | Path) -> Any:
    """What an annotation file holds: dictionaries, lists, sets, text and numbers.

    Raises:
        UnsafePickle: its pickle asks for something that could run code.
        CheckpointError: there is no such file, or it is damaged.
    """
    path = Path(path).expanduser()
    try:
        with path.open("rb") as file:
            if path.suffix.lower() == ".json" or file.peek(1)[:1] in (b"{", b"["):
                return json.loads(file.read())
            return unpickle(file)
    except CheckpointError as error:
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is neither JSON nor a pickle ({error})") from error
