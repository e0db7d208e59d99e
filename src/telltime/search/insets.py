"""How a query would look as a picture in a picture, so that it is found where it is shown small upon another video."""

import numpy as np
import torch

from telltime.checkpoints.describer import Describer
from telltime.clips.ragged import Ragged
from telltime.media.video import Video
from telltime.views.edits import inset

FRAMES = 24
"""Frames of a query that are shown small, evenly spread over it."""

_SHARE, _GREY = 0.5, 118
_PLACES = ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75))


def inset_rows(describer: Describer, video: Video) -> Ragged:
    """Rows of a video shown at half its size upon grey, one sequence for each of four places.

    Raises:
        MediaError: the video cannot be read.
    """
    reader = describer.reader
    wanted = np.unique(reader.wanted(video))
    if len(wanted) > FRAMES:
        wanted = wanted[np.linspace(0, len(wanted) - 1, FRAMES).round().astype(int)]
    frames = video.frames(wanted, partial=True, short_side=reader.short_side).pixels
    grey = torch.full_like(frames, _GREY)
    shown = [reader.frames(inset(frames, grey.clone(), _SHARE, *place)) for place in _PLACES]
    rows = describer.pixels_rows(torch.cat(shown))
    return Ragged.of(list(rows.chunk(len(_PLACES))))
