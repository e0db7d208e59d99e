import multiprocessing
import os
import random
import signal
import threading
import time

import pytest
import torch
from training_toys import Plain, ToyLoader, rows, toy, train, train_in_child

from telltime.clips.policy import WorkerDied
from telltime.training.errors import RunError
from telltime.training.schedules import Cosine
from telltime.training.state import facts_of

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["telltime.training.loop", "telltime.training.progress", "torch._dynamo"])
CHILD = {"epochs": 6, "save_every": 1, "accumulate": 2, "log_every": 2, "clip_norm": 1.0, "slow": 0.02}


def same_bytes(a, b):
    left, right = a.state_dict(), b.state_dict()
    assert list(left) == list(right)
    return all(left[k].numpy().tobytes() == right[k].numpy().tobytes() for k in left)


def state_bytes(folder):
    """The saved tensors as bytes, and every fact that does not depend on the clock."""
    from safetensors.numpy import load_file

    facts = facts_of(folder / "checkpoints" / "last.safetensors")
    facts["position"].pop("seconds")
    tensors = load_file(folder / "checkpoints" / "last.safetensors")
    return {name: value.tobytes() for name, value in tensors.items()}, facts


def killed_after(folder, resume, seconds):
    """Run a child and kill it ``seconds`` after its folder is its own; True when it ended before that."""
    child = FORK.Process(target=train_in_child, args=(folder, resume, CHILD))
    child.start()
    deadline = time.monotonic() + 60
    lock = folder / ".lock"
    while child.is_alive() and not (lock.exists() and lock.read_text().strip() == str(child.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    child.join(seconds)
    if child.exitcode is None:
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        return False
    assert child.exitcode == 0
    return True


def test_a_run_killed_again_and_again_ends_in_the_same_bits(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert killed_after(whole, False, 60)
    draw, kills, resume = random.Random(3), 0, False
    while not killed_after(parts, resume, draw.uniform(0.0, 0.5)):
        kills += 1
        resume = True
        assert kills < 60
    assert kills >= 2
    assert state_bytes(parts) == state_bytes(whole)
    assert rows(parts) == rows(whole)
    assert [row["step"] for row in rows(whole) if row["kind"] == "step"] == list(range(2, 19, 2))


@pytest.mark.parametrize("stop_at", [1, 4, 5, 8, 11])
def test_a_run_stopped_at_any_step_resumes_bit_for_bit(tmp_path, stop_at):
    whole, _ = train(tmp_path / "whole", accumulate=2, log_every=4)
    train(tmp_path / "parts", accumulate=2, log_every=4, max_steps=stop_at)
    parts, trained = train(tmp_path / "parts", resume=True, accumulate=2, log_every=4)
    assert trained.ended == "done"
    assert same_bytes(whole, parts)
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")
    assert int(parts.steps) == 12


def test_two_trainings_from_the_same_seed_are_the_same_bits_and_another_seed_is_not():
    first, again, other = (train(None, seed=seed)[0] for seed in (1, 1, 2))
    assert same_bytes(first, again)
    assert not same_bytes(first, other)


def test_the_callers_random_state_and_settings_come_back():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(None)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_signal_finishes_the_step_and_saves(tmp_path, number):
    class Loud(ToyLoader):
        def batch(self, epoch, place):
            if (epoch, place) == (1, 2):
                os.kill(os.getpid(), number)
            return super().batch(epoch, place)

    whole, _ = train(tmp_path / "whole")
    before = signal.getsignal(number)
    _, trained = train(tmp_path / "parts", loader=Loud())
    assert (trained.ended, trained.signal) == ("stopped", number)
    assert signal.getsignal(number) is before
    assert facts_of(tmp_path / "parts" / "checkpoints" / "last.safetensors")["position"]["step"] == trained.step == 8
    parts, _ = train(tmp_path / "parts", resume=True)
    assert same_bytes(whole, parts)
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")


def test_workers_that_die_of_the_same_signal_do_not_spoil_the_stop(tmp_path):
    class Dying(ToyLoader):
        def batch(self, epoch, place):
            if place == 2:
                os.kill(os.getpid(), signal.SIGTERM)
                raise RuntimeError("DataLoader worker exited unexpectedly")
            return super().batch(epoch, place)

    _, trained = train(tmp_path, loader=Dying())
    assert (trained.ended, trained.step) == ("stopped", 2)


def test_workers_that_die_before_the_signal_comes_do_not_spoil_the_stop(tmp_path):
    class Dying(ToyLoader):
        def batch(self, epoch, place):
            if place == 2:
                threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
                raise RuntimeError("DataLoader worker (pid 4711) is killed by signal: Terminated. ")
            return super().batch(epoch, place)

    _, trained = train(tmp_path / "parts", loader=Dying(), save_every=1)
    assert trained.ended == "stopped"
    resumed, _ = train(tmp_path / "parts", resume=True, save_every=1)
    assert same_bytes(resumed, train(None)[0])


def test_workers_that_die_of_something_else_are_named(tmp_path):
    class Dying(ToyLoader):
        def batch(self, epoch, place):
            raise RuntimeError("DataLoader worker (pid 4711) is killed by signal: Killed. ")

    with pytest.raises(WorkerDied, match="loading process 4711 was killed"):
        train(tmp_path, loader=Dying())


def test_a_second_interrupt_ends_at_once(tmp_path):
    class Impatient(ToyLoader):
        def batch(self, epoch, place):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            return super().batch(epoch, place)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, loader=Impatient())


def test_a_run_killed_before_its_first_save_starts_over_on_resume(tmp_path):
    (tmp_path / "recipe.yaml").write_text("seed: 0\n")
    (tmp_path / "metrics.jsonl").write_text('{"kind": "step", "epoch": 0, "step": 3}\n{"kind"')
    resumed, _ = train(tmp_path, resume=True)
    assert same_bytes(resumed, train(None)[0])
    assert [row["step"] for row in rows(tmp_path) if row["kind"] == "step"] == list(range(3, 25, 3))


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    done, _ = train(tmp_path)
    before = state_bytes(tmp_path)
    again, trained = train(tmp_path, resume=True)
    assert (trained.ended, trained.step) == ("done", 24)
    assert same_bytes(done, again)
    assert state_bytes(tmp_path) == before


def test_moments_of_an_optimiser_with_groups_come_back(tmp_path):
    def optimiser(method):
        groups = [{"params": [method.conv.weight]}, {"params": [method.out.weight], "weight_decay": 0.0}]
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9)

    from telltime.training import state

    method = toy()
    first = optimiser(method)
    method.conv.weight.grad = torch.ones_like(method.conv.weight)
    first.step()
    state.save(tmp_path / "s.safetensors", state.model_state(method), state.optimiser_state(method, first), {"a": 0.1})
    fresh = toy(seed=9)
    second = optimiser(fresh)
    assert state.load(tmp_path / "s.safetensors", fresh, second) == {"a": 0.1}
    assert same_bytes(method, fresh)
    assert torch.equal(second.state[fresh.conv.weight]["momentum_buffer"], torch.ones_like(method.conv.weight))
    assert second.param_groups[0]["lr"] == 0.1
    assert fresh.out.weight not in second.state


def test_a_state_of_another_model_is_refused(tmp_path):
    train(tmp_path, max_steps=1)
    with pytest.raises(RunError, match="does not fit the recipe's model"):
        train(tmp_path, resume=True, method=toy(Plain))
    with pytest.raises(RunError, match="does not fit the recipe's model"):
        train(tmp_path, resume=True, method=toy(width=5))


def test_data_of_another_size_is_refused(tmp_path):
    train(tmp_path, max_steps=1)
    with pytest.raises(RunError, match="gives 7 batches an epoch, but 6"):
        train(tmp_path, resume=True, loader=ToyLoader(count=26))


def test_a_damaged_state_is_named(tmp_path):
    train(tmp_path, max_steps=1)
    state = tmp_path / "checkpoints" / "last.safetensors"
    state.write_bytes(state.read_bytes()[:50])
    with pytest.raises(RunError, match=r"last\.safetensors is no readable run state"):
        train(tmp_path, resume=True)


def test_cosine_needs_its_length_and_a_longer_plateau_does_not(tmp_path):
    short, _ = train(tmp_path / "parts", epochs=2)
    longer, _ = train(tmp_path / "parts", resume=True, epochs=4)
    assert same_bytes(longer, train(None, epochs=4)[0])
    assert not same_bytes(short, longer)
    assert Cosine.needs_length
