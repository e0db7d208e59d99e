"""telltime learns visual representations from time, measures them, and puts them to work.

>>> import telltime
>>> model = telltime.load("runs/tclr")              # a run, a saved model or a published checkpoint
>>> model.embed(telltime.Video("clip.mp4"))         # float32 [1, D]
>>> model.save("my-model")

>>> index = telltime.Index("my-index")              # a search engine for a collection of videos
>>> index.add(["MY_VIDEOS"])
>>> index.search("clip.mp4", top=10)                # hits with path, score, probability and matching spans
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Clock", "Index", "Model", "Video", "load"]

if TYPE_CHECKING:
    from telltime.checkpoints.clock import Clock
    from telltime.checkpoints.loading import load
    from telltime.checkpoints.model import Model
    from telltime.media.video import Video
    from telltime.search.index import Index

_HOMES = {
    "Index": "telltime.search.index",
    "Video": "telltime.media.video",
    "Model": "telltime.checkpoints.model",
    "Clock": "telltime.checkpoints.clock",
    "load": "telltime.checkpoints.loading",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that ``import telltime`` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'telltime' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
