"""What a validator decides, what it leaves alone, and that a resumed run remembers it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from training_toys import ToyLoader, rows, toy

from telltime.datasets.record import Record, Table
from telltime.training.build import resolve
from telltime.training.errors import RecipeError
from telltime.training.loop import Settings, fit
from telltime.training.progress import Lines
from telltime.training.run import Run
from telltime.training.schedules import Constant
from telltime.training.validation import Validator

SCORES = [0.1, 0.5, 0.3, 0.6, 0.2]


class Fixed(Validator):
    def __call__(self, method: Any, records: Any, seed: int, device: Any) -> dict[str, float]:
        return {"score": 0.0}


def records(count: int) -> Table:
    return Table("t", "train", Path(), records=tuple(Record(f"v{i}", Path(f"v{i}")) for i in range(count)))


def trained(folder: Path, epochs: int = 5, resume: bool = False, due: Any = lambda epoch: True) -> Any:
    method = toy()
    modes: list[bool] = []

    def validate(epoch: int) -> dict[str, float]:
        modes.append(method.training)
        torch.rand(3)  # what is drawn here must not change the training
        return {"score": SCORES[epoch], "other": 1.0} if due(epoch) else {}

    saved: list[str] = []
    torch.set_num_threads(1)
    with Run(folder, resume=resume) as run:
        lines = Lines(run.metrics)
        fit(
            method,
            ToyLoader(),
            torch.optim.Adam(method.parameters(), lr=1e-2),
            Constant(),
            Settings(epochs=epochs, device="cpu", precision="fp32"),
            run,
            export=lambda path, state: (saved.append(path.name), path.mkdir(parents=True, exist_ok=True))[0],
            sink=lines,
            validate=validate,
        )
        lines.close()
    assert not any(modes)
    assert method.training
    return method, saved


def test_the_best_model_is_that_of_the_best_score_and_training_is_untouched(tmp_path):
    method, saved = trained(tmp_path / "with")
    assert saved.count("best") == 3
    told = [row for row in rows(tmp_path / "with") if row["kind"] == "epoch"]
    assert [row["best"] for row in told] == [True, True, False, True, False]
    assert [row["validation_score"] for row in told] == SCORES
    plain = toy()
    fit(
        plain,
        ToyLoader(),
        torch.optim.Adam(plain.parameters(), lr=1e-2),
        Constant(),
        Settings(epochs=5, device="cpu", precision="fp32"),
    )
    for name, value in plain.state_dict().items():
        assert torch.equal(method.state_dict()[name], value), name


def test_a_resumed_run_remembers_the_best_score(tmp_path):
    trained(tmp_path / "two", epochs=2)
    trained(tmp_path / "two", resume=True)
    trained(tmp_path / "one")
    keys = ("epoch", "best", "validation_score", "loss")
    told = [
        [{key: row[key] for key in keys} for row in rows(tmp_path / name) if row["kind"] == "epoch"]
        for name in ("one", "two")
    ]
    assert told[0] == told[1]


def test_epochs_that_are_not_looked_at_make_no_best_model(tmp_path):
    _, saved = trained(tmp_path, due=lambda epoch: epoch == 2)
    assert saved.count("best") == 1


def test_what_is_held_out_depends_on_seed_and_ids_alone():
    validator = Fixed(every=3, share=0.2)
    left, held = validator.split(records(10), 0)
    assert len(held) == 2
    assert {r.id for r in left.records} | {r.id for r in held} == {f"v{i}" for i in range(10)}
    shuffled = Table("t", "train", Path(), records=tuple(reversed(records(10).records)))
    assert {r.id for r in validator.split(shuffled, 0)[1]} == {r.id for r in held}
    assert {frozenset(r.id for r in validator.split(records(10), seed)[1]) for seed in range(5)} != {frozenset(held)}
    left, held = validator.split(records(1), 0)
    assert len(left) == len(held) == 1
    assert [validator.due(epoch, 8) for epoch in range(8)] == [False, False, True, False, False, True, False, True]


@pytest.mark.parametrize("wrong", [{"every": 0}, {"share": 0.0}, {"share": 1.0}])
def test_validators_that_cannot_be(wrong):
    with pytest.raises(ValueError, match="every is at least 1"):
        Fixed(**wrong)


def test_a_recipe_names_its_validator():
    held_out = "telltime.tasks.held_out.HeldOutClusters"
    given = [f"validation={{class_path: {held_out}, init_args: {{by: loss, every: 2}}}}"]
    recipe = resolve("timet", given).build()
    assert recipe.validation is not None
    assert (recipe.validation.every, recipe.validation.by) == (2, "loss")
    with pytest.raises(RecipeError, match="validation"):
        resolve("timet", [f"validation={{class_path: {held_out}, init_args: {{bye: loss}}}}"])
