"""Keeps the best head of a training as a clock, and calibrates it at the end.

Best is the least negative log likelihood of the held-out photos' times. What the heads say of them lies beside the
model as ``heldout.safetensors``, so that a resumed run calibrates as an uninterrupted one does.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from telltime.backbones.image_tower import ImageTower
from telltime.checkpoints.calibration import BINS, FEWEST, Calibration, fit_calibration, hours_prior
from telltime.checkpoints.clock import Clock, load_clock
from telltime.checkpoints.folder import read_folder
from telltime.media.files import whole
from telltime.metrics import circular, clock


@dataclass(frozen=True)
class Held:
    """Photos that some head has not learnt from.

    Attributes:
        features: ``[n, D]``, as the heads take them.
        hours: ``[n]``.
        folds: the head that knows nothing of each, or -1 for the first one; int64 ``[n]``.
        groups: what belongs together.
    """

    features: Tensor
    hours: np.ndarray
    folds: np.ndarray
    groups: list[str]

    @torch.no_grad()
    def densities(self, method: Any) -> np.ndarray:
        """What a method in evaluation mode says of them, ``[n, 96]``, each photo by its own head."""
        found = np.empty((len(self.hours), BINS))
        for fold in np.unique(self.folds):
            rows = np.flatnonzero(self.folds == fold)
            head = method.clock if fold < 0 else method.others[int(fold)]
            parts = [head.density(part, BINS) for part in self.features[rows].split(4096)]
            found[rows] = torch.cat(parts).double().numpy()
        return found


@dataclass(frozen=True)
class ClockKeeper:
    """Writes heads as clocks into a run.

    Attributes:
        run: the run's folder.
        held: what is measured on; may be empty, then the last head is kept.
        learnt: hours of the photos that are learnt from.
        tower, keep_tower, mean, scale, limit: of the clock.
        calibrate: whether :meth:`finish` does anything.
        told: goes into the clock's ``meta``.
        say: tells a person something.
    """

    run: Path
    held: Held
    learnt: np.ndarray
    tower: ImageTower | None
    keep_tower: bool
    mean: Tensor | None
    scale: Tensor | None
    limit: float | None
    calibrate: bool
    told: Mapping[str, Any]
    say: Callable[[str], None]

    @property
    def model(self) -> Path:
        return self.run / "model"

    @property
    def heldout(self) -> Path:
        return self.run / "heldout.safetensors"

    def save(self, folder: Path, method: Any, meta: Mapping[str, Any]) -> None:
        """Write a trained method into ``folder``; into the run's model only if it is better than what is there."""
        method.eval()
        own = {**self.told, **meta, "flat_prior": bool(method.flat)}
        density = np.empty((0, BINS))
        if len(self.held.hours):
            density = self.held.densities(method)
            own["validation"] = self._measured(density, bool(method.flat))
        is_model = folder == self.model
        if is_model and len(density) and own["validation"]["nll"] >= self._best():
            return
        made = Clock(method.clock, None, None, self.mean, self.scale, self.limit, meta=own)
        self._with_tower(made, None).save(folder)
        if is_model and len(density):
            with whole(self.heldout) as beside:
                values = {"density": torch.from_numpy(density), "hours": torch.from_numpy(self.held.hours.copy())}
                save_file(values, beside, {"groups": json.dumps(self.held.groups)})

    def finish(self) -> None:
        """Calibrate the run's model, if that is wanted."""
        if not self.calibrate or not self.heldout.is_file():
            return
        with safe_open(self.heldout, framework="pt") as file:
            density, hours = file.get_tensor("density").numpy(), file.get_tensor("hours").numpy()
            groups = json.loads(file.metadata()["groups"])
        if len(hours) < FEWEST:
            self.say(f"{len(hours)} held-out photos are too few to calibrate with; it takes {FEWEST}")
            return
        found = load_clock(self.model, tower=False)
        prior = hours_prior(self.learnt)
        fitted = fit_calibration(density, hours, prior, groups, exponent=float(bool(found.meta.get("flat_prior"))))
        after = fitted.apply(density)
        arcs = {share: fitted.arc(after, share) for share in clock.SHARES}
        found.meta["calibrated"] = _rounded(clock.clock_scores(after, hours, arcs)) | {"photos": len(hours)}
        self._with_tower(found, fitted).save(self.model)
        told = found.meta["calibrated"]
        self.say(
            f"calibrated on {len(hours)} held-out photos: temperature {fitted.temperature:.2f}, "
            f"prior to the power of {fitted.exponent:.2f}, mean error {told['mae_hours']:.2f} h"
        )

    def _measured(self, density: np.ndarray, flat: bool) -> dict[str, float]:
        weighted = Calibration(1.0, float(flat), 0.01, hours_prior(self.learnt)).apply(density)
        hours = self.held.hours
        right = circular.classes_of(hours, BINS)
        shares = circular.rebin(weighted, clock.CLASSES)
        top = clock.topk(shares, circular.classes_of(hours, clock.CLASSES), (1,))
        error = circular.distance(circular.circular_median(weighted), hours).mean()
        scores = {"nll": clock.nll(weighted, right), "top1": top[1], "mae_hours": float(error)}
        return _rounded(scores) | {"photos": len(hours)}

    def _best(self) -> float:
        """The least negative log likelihood so far, infinite before the first model is written."""
        if not (self.model / "config.json").is_file() or not self.heldout.is_file():
            return float("inf")
        told = read_folder(self.model)[0].get("meta", {}).get("validation", {})
        return float(told.get("nll", float("inf")))

    def _with_tower(self, made: Clock, calibration: Calibration | None) -> Clock:
        return Clock(made.head, self.tower, calibration, made.mean, made.scale, made.limit, self.keep_tower, made.meta)


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in scores.items()}
