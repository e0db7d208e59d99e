"""A run folder: who may write it, what it holds, and going on with it."""

import fcntl
import json
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from telltime.media.files import whole
from telltime.training.errors import RunError

_HELD: set[Path] = set()
_LEFT_OVER = re.compile(r"^\..+\.\d+(\.\w+)?$")


class Run:
    """A folder that one training at a time writes to.

    Used as a context manager it holds a lock: a record lock of the operating system, so that it ends with its process
    however that ends, and a worker that outlives it does not keep it.

    Args:
        folder: made if needed.
        resume: go on with what is there; otherwise there must be nothing.
        main: whether this process writes; of several processes of one training only the first does.

    Raises:
        RunError: on entering, when the folder is in use, holds something already, or nothing to go on with.
    """

    def __init__(self, folder: str | Path, resume: bool = False, main: bool = True) -> None:
        self.folder = Path(folder)
        self.resume = resume
        self.main = main
        self._lock: int | None = None
        self._made = False

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def dropped(self) -> Path:
        return self.folder / "dropped.jsonl"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def state(self) -> Path:
        """The state to go on from."""
        return self.checkpoints / "last.safetensors"

    def __enter__(self) -> Self:
        if not self.main:
            return self
        if not (self.folder / ".lock").exists():
            self._check()
        self._hold()
        try:
            self._check()
            self._sweep()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def began(self) -> bool:
        """Whether a training was started here, even if nothing of it has been saved yet."""
        return any(path.exists() for path in (self.recipe, self.metrics, self.state))

    def _check(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise RunError(f"{self.folder} is a file, not a folder for a run; choose another --out")
        if self.resume:
            inside = {path.name for path in self.folder.iterdir()} if self.folder.exists() else set()
            if not self.began() and ".lock" not in inside:
                raise RunError(f"{self.folder} holds no run to resume; start it without --resume")
            return
        if self.began():
            raise RunError(f"{self.folder} already holds a run; go on with --resume or choose another --out")
        for path in (self.model, self.checkpoints, self.dropped, self.folder / "report.html"):
            if path.exists():
                raise RunError(f"{path} is there already and a run would overwrite it; choose another --out")

    def _hold(self) -> None:
        path = self.folder / ".lock"
        self._made = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if path.resolve() in _HELD:
                raise self._in_use(str(os.getpid()))
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"{self.folder} cannot be written: {error.strerror}; choose another --out") from error
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = path.exists() and os.stat(path).st_ino == os.fstat(handle).st_ino
        except OSError as error:
            owner = os.read(handle, 64).decode(errors="replace").strip()
            os.close(handle)
            raise self._in_use(owner or "another process") from error
        if not current:
            os.close(handle)
            self._hold()
            return
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._lock = handle
        _HELD.add(path.resolve())

    def _release(self) -> None:
        if self._lock is None:
            return
        path = self.folder / ".lock"
        _HELD.discard(path.resolve())
        path.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None
        if self._made and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _sweep(self) -> None:
        """Remove what a killed process had begun to write beside its files."""
        for folder in (self.folder, self.checkpoints, self.model):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.is_file() and _LEFT_OVER.match(path.name):
                    path.unlink()

    def _in_use(self, owner: str) -> RunError:
        return RunError(f"{self.folder} is being written by process {owner}; wait for it or choose another --out")

    def rewind_metrics(self, step: int, epoch: int) -> None:
        """Forget the rows written after the state at ``step`` and ``epoch``, and the row of an unfinished window."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text().splitlines():
            try:
                row: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            late = row["epoch"] >= epoch if row["kind"] == "epoch" else row["step"] > step
            if not late and not row.get("partial"):
                kept.append(line)
        with whole(self.metrics) as beside:
            beside.write_text("".join(line + "\n" for line in kept))
