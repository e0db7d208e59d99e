"""From which size on a collection is searched how."""

EXACT_FRAMES = 500_000
"""Frames up to which a collection is held in memory and every video compared exactly: 512 MB at 256 numbers a frame."""

CANDIDATES = 500
"""Videos the first stage hands to the exact comparison, in collections larger than that."""
