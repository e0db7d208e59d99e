"""Train, measure and write the head that ships with the package (``src/telltime/assets/clock``).

    python -m benchmarks.shipped_clock                   # draws photos, trains, measures, and says how good it is
    python -m benchmarks.shipped_clock --write           # and puts the head into the package

It learns from generated photos alone (``telltime data generate-photos``): drawn scenes of 20 cities, their light computed
from the sun. It is calibrated on scenes that it has not seen, and measured on yet others, of those cities and of four
more. Photos of real places are another matter: ``--photos DIR`` measures on a folder of them too.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._measure import write

TRAIN, HELD, TEST = 11, 12, 13
PLACES = 20
