"""What an index says of itself: the model it was made with, its whitening, and how its scores are to be read."""

import json
from dataclasses import dataclass, replace
from typing import Any

import torch

from telltime.backbones.whitening import Whitening
from telltime.search.calibrate import Calibration
from telltime.search.errors import NoIndex, SearchError, damaged
from telltime.search.tables import Tables

FORMAT = 1
TABLE = "about"


@dataclass(frozen=True)
class About:
    """See the module.

    Attributes:
        model: name of the model, as it can be loaded again.
        digest: of its weights and of how it reads videos.
        sampler: which frames it takes.
        fits: whether the index fits a whitening of its own, because the model brings none.
        generation: counts whitenings; the tables of rows made with one carry its number.
        fitted_on: frames the whitening was fitted on.
        whitening: the index's own, if it has one by now.
        calibration: of the scores, if it has one by now.
    """

    model: str
    digest: str
    sampler: str
    fits: bool
    generation: int = 0
    fitted_on: int = 0
    whitening: Whitening | None = None
    calibration: Calibration | None = None

    @property
    def rows(self) -> str:
        """Name of the table of rows that searches compare."""
        return f"rows_{self.generation}"

    @property
    def frames(self) -> str:
        """Name of the table of single frames, for large collections."""
        return f"frames_{self.generation}"

    def write(self, tables: Tables) -> None:
        """Commit it, in one step."""
        import pyarrow as pa
        from safetensors.torch import save

        told = {
            "format": FORMAT,
            "model": self.model,
            "digest": self.digest,
            "sampler": self.sampler,
            "fits": self.fits,
            "generation": self.generation,
            "fitted_on": self.fitted_on,
            "calibration": self.calibration.to_json() if self.calibration else None,
        }
        held = self.whitening
        kept = save({k: v.contiguous() for k, v in held.state_dict().items()}) if held is not None else b""
        tables.replace(TABLE, pa.table({"about": [json.dumps(told)], "whitening": pa.array([kept], pa.large_binary())}))

    @classmethod
    def read(cls, tables: Tables) -> "About":
        """What is there.

        Raises:
            NoIndex: nothing.
            SearchError: it is damaged, or of another format.
        """
        if TABLE not in tables.names():
            raise NoIndex(f"there is no index in {tables.where}; make one with telltime index FOLDER --index DIR")
        rows = tables.read(TABLE, ["about", "whitening"]).to_pylist()
        try:
            told = json.loads(rows[0]["about"])
            if told["format"] != FORMAT:
                raise SearchError(f"{tables.where} has format {told['format']!r}; this telltime reads format {FORMAT}")
            calibration = told["calibration"]
            return cls(
                told["model"],
                told["digest"],
                told["sampler"],
                bool(told["fits"]),
                int(told["generation"]),
                int(told["fitted_on"]),
                _whitening(rows[0]["whitening"]),
                Calibration.from_json(calibration) if calibration else None,
            )
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise damaged(tables.where) from error

    def refitted(self, whitening: Whitening, frames: int) -> "About":
        """With another whitening, whose rows are yet to be made."""
        return replace(self, whitening=whitening, generation=self.generation + 1, fitted_on=frames, calibration=None)


def _whitening(kept: Any) -> Whitening | None:
    if not kept:
        return None
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        found: dict[str, torch.Tensor] = load(bytes(kept))
        return Whitening.of(found["mean"], found["components"], found["eigenvalues"])
    except SafetensorError as error:
        raise ValueError("the whitening cannot be read") from error
