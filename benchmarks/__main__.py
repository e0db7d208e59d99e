"""Run every short benchmark, one process each, and say where the results are."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LONG = {  # many minutes to an hour: run them by name
    "dense_clustering",
    "dense_tuning",
    "embed_photos",
    "learning_curve",
    "shipped_clock",
    "time_tie",
    "time_training_step",
}


def main() -> int:
    names = sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_") and p.stem not in LONG)
    failed = [name for name in names if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode]
    print(f"\nResults are in {HERE / 'results'}; not run, because long: {', '.join(sorted(LONG))}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
