import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.training.schedules import At, Constant, Cosine, MultiStep, Schedule, WarmupPlateau


def through_json(schedule: Schedule, fresh: Schedule) -> Schedule:
    fresh.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    return fresh


@pytest.mark.parametrize("resume_every", [0, 1, 7])
def test_plateau_follows_the_published_trace(golden, resume_every):
    schedule = WarmupPlateau()
    for row in golden.json("tclr_schedule_pretrain.json")["schedule"]:
        epoch, loss = row["epoch"], row["loss"]
        schedule.start_epoch(epoch)
        assert schedule.lr(1e-3, At(epoch, 0, 239, 400)) == pytest.approx(row["lr"], rel=1e-12)
        if resume_every and epoch % resume_every == 0:
            schedule = through_json(schedule, WarmupPlateau())
            schedule.start_epoch(epoch)
        best = schedule.end_epoch(loss)
        numbered = not best and epoch % 5 == 0
        kept = [f"model_best_e{epoch}_loss_{loss}.pth"] * best + [f"model_e{epoch}_loss_{loss}.pth"] * numbered
        assert [*kept, "model_temp.pth"] == row["files"]
        assert schedule.best == row["temp_best_score"]
        assert schedule.worse == row["temp_scheduler_epoch"]
        if resume_every and epoch % resume_every == 0:
            schedule = through_json(schedule, WarmupPlateau())


def test_the_plateau_rate_is_the_same_at_every_step_of_an_epoch():
    schedule = WarmupPlateau()
    assert {schedule.lr(1.0, At(2, step, 50, 10)) for step in range(50)} == {0.1}


def test_cosine_ends_at_its_floor_and_warms_up_without_a_step_of_nothing():
    schedule = Cosine(warmup=2, floor=0.1)
    rates = [schedule.lr(1.0, At(epoch, step, 10, 12)) for epoch in range(12) for step in range(10)]
    assert rates[0] > 0
    assert rates[:20] == sorted(rates[:20])
    assert rates[20] == 1.0
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert schedule.lr(1.0, At(12, 0, 10, 12)) == pytest.approx(0.1)


def test_cosine_takes_weight_decay_along_if_asked():
    assert Cosine().weight_decay(0.1, At(3, 0, 10, 6)) == 0.1
    schedule = Cosine(warmup=1, decay=0.4)
    decays = [schedule.weight_decay(0.04, At(epoch, step, 10, 6)) for epoch in range(6) for step in range(10)]
    assert decays[0] == pytest.approx(0.04)
    assert decays[30] == pytest.approx(0.22)
    assert decays == sorted(decays)
    assert schedule.weight_decay(0.04, At(6, 0, 10, 6)) == pytest.approx(0.4)
    assert schedule.weight_decay(0.0, At(3, 0, 10, 6)) == 0.0


def test_cosine_by_epoch_holds_still_within_one():
    schedule = Cosine(per="epoch")
    assert schedule.lr(1.0, At(3, 0, 10, 6)) == schedule.lr(1.0, At(3, 9, 10, 6)) == pytest.approx(0.5)


def test_multistep_drops_at_its_milestones():
    schedule = MultiStep((4, 8, 10), factor=0.3)
    rates = [schedule.lr(1e-2, At(epoch, 3, 5, 12)) for epoch in range(12)]
    assert rates == pytest.approx([1e-2] * 4 + [3e-3] * 4 + [9e-4] * 2 + [2.7e-4] * 2)


def test_constant_is():
    assert {Constant().lr(0.3, At(e, s, 4, 9)) for e in range(9) for s in range(4)} == {0.3}


def test_a_wrong_unit_is_named():
    with pytest.raises(ValueError, match="'batch'"):
        Constant(per="batch")


@given(
    st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0]), min_size=1, max_size=60),
    st.integers(0, 59),
    st.sampled_from([WarmupPlateau, Cosine, Constant]),
)
@settings(max_examples=40, deadline=None)
def test_a_schedule_resumed_anywhere_goes_on_as_if_nothing_had_been(losses, cut, kind):
    whole, parts = kind(), kind()
    for epoch, loss in enumerate(losses):
        if epoch == cut:
            parts = through_json(parts, kind())
        for schedule in (whole, parts):
            schedule.start_epoch(epoch)
        if epoch == cut:
            parts = through_json(parts, kind())
            parts.start_epoch(epoch)
        at = At(epoch, 1, 3, len(losses))
        assert whole.lr(1.0, at) == parts.lr(1.0, at)
        assert whole.end_epoch(loss) == parts.end_epoch(loss)
    assert whole.state_dict() == parts.state_dict()


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=80))
@settings(max_examples=40, deadline=None)
def test_the_plateau_rate_never_rises_after_its_warm_up(losses):
    schedule, rates = WarmupPlateau(), []
    for epoch, loss in enumerate(losses):
        schedule.start_epoch(epoch)
        rates.append(schedule.lr(1.0, At(epoch, 0, 1, 1)))
        schedule.end_epoch(loss)
    assert all(b <= a for a, b in itertools.pairwise(rates[4:]))
    assert schedule.best == min(losses)
    assert all(math.isfinite(rate) and rate > 0 for rate in rates)


def test_steps_and_the_joined_cosine_are_those_published_with_time(golden):
    file = golden.npz("time_eval.npz")
    epochs = round(float(file["lr_epochs"].max()))
    base = float(file["lr_steps"][0])
    steps = MultiStep((20, 30), per="step")
    joined = Cosine(warmup=2.5, start=1e-6 / base, floor=1e-6 / base)
    for epoch, stepped, warmed in zip(
        *(file[key] for key in ("lr_epochs", "lr_steps", "lr_cosine_warmup")), strict=True
    ):
        at = At(int(epoch), round(epoch % 1 * 1000), 1000, epochs)
        assert steps.lr(base, at) == pytest.approx(stepped, rel=1e-12)
        assert joined.lr(base, at) == pytest.approx(warmed, rel=1e-9)


def test_a_joined_cosine_needs_no_warmup():
    assert Cosine(start=0.1).lr(1.0, At(0, 0, 10, 2)) == 1.0
