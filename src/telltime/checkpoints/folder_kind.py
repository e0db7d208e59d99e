"""Who wrote a model folder, told by its settings; apart from torch so that an error comes at once."""

import json
from pathlib import Path
from typing import Any

from telltime.checkpoints.errors import CheckpointError


def hugging_face_settings(folder: Path) -> dict[str, Any] | None:
    """``config.json`` of a folder that ``transformers`` wrote, ``None`` for any other.

    Raises:
        CheckpointError: it is of a network other than TimeSformer.
    """
    config = settings_of(folder / "config.json")
    kind = config.get("model_type")
    if not isinstance(kind, str) or "backbone" in config:
        return None
    if kind != "timesformer":
        raise CheckpointError(
            f"{folder} holds a {kind} of the library transformers; of its networks only timesformer is read"
        )
    return config


def settings_of(path: Path) -> dict[str, Any]:
    """What a JSON file says, nothing where there is none or it is no dictionary."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # reading the folder says what is wrong with it
        return {}
    return found if isinstance(found, dict) else {}
