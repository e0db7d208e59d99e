"""Puts the toys beside the tests within reach of them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
