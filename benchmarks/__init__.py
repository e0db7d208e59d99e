"""Measured comparisons; ``python -m benchmarks`` runs them all. Each is a script with its own ``--help``."""
