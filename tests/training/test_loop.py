import pytest
import torch
from training_toys import Plain, Toy, ToyLoader, rows, toy, train

from telltime.methods.method import Step
from telltime.training.devices import precision
from telltime.training.errors import TrainingError
from telltime.training.loop import Settings, fit
from telltime.training.optim import parameter_groups, scale_rates
from telltime.training.schedules import Constant, Cosine, MultiStep


@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_batches_give_the_step_of_one_large_batch(accumulate):
    large, _ = train(None, method=toy(Plain), loader=ToyLoader(count=24, batch_size=8), schedule=Constant())
    small, _ = train(
        None,
        method=toy(Plain),
        loader=ToyLoader(count=24, batch_size=8 // accumulate),
        schedule=Constant(),
        accumulate=accumulate,
    )
    for name, value in large.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_a_last_group_that_is_not_full_is_still_a_mean():
    method = toy(Plain)
    twin = toy(Plain)
    loader = ToyLoader(count=6, batch_size=2)
    train(None, method=method, loader=loader, schedule=Constant(), accumulate=2, epochs=1)
    optimiser = torch.optim.Adam(twin.parameters(), lr=1e-2)
    batches = list(loader.epoch(0))
    for group in (batches[:2], batches[2:]):
        optimiser.zero_grad()
        (sum(twin(twin.views(batch, None)).loss for batch in group) / len(group)).backward()
        optimiser.step()
    torch.testing.assert_close(method.out.weight, twin.out.weight)


def test_clipping_bounds_the_step_and_is_logged(tmp_path):
    method = toy(Plain)
    before = method.out.weight.detach().clone()
    optimiser = torch.optim.SGD(method.parameters(), lr=1.0)
    settings = Settings(epochs=1, max_steps=1, clip_norm=1e-3, device="cpu")
    fit(method, ToyLoader(), optimiser, Constant(), settings)
    assert 0 < (method.out.weight - before).norm() <= 1e-3 * 1.001
    train(tmp_path, clip_norm=1e-3, epochs=1)
    assert all(row["grad_norm"] > 0 for row in rows(tmp_path) if row["kind"] == "step")


def test_the_schedule_sets_each_group_from_its_own_rate():
    method = toy(Plain)
    groups = [{"params": [method.out.weight], "lr": 1e-3}, {"params": [method.out.bias], "lr": 1e-2}]
    optimiser = torch.optim.Adam(groups)
    settings = Settings(epochs=3, device="cpu")
    fit(method, ToyLoader(), optimiser, MultiStep((1, 2), factor=0.5), settings)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([2.5e-4, 2.5e-3])


def test_rows_hold_means_over_their_window_and_epoch(tmp_path):
    seen = []

    class Counting(Plain):
        def forward(self, views):
            step = super().forward(views)
            seen.append(float(step.loss.detach().double()))
            return Step(step.loss, {"count": torch.tensor(float(len(seen)))})

    train(tmp_path, method=toy(Counting), loader=ToyLoader(count=20), epochs=1, log_every=2)
    found = rows(tmp_path)
    assert [row["kind"] for row in found] == ["step", "step", "epoch", "step"]
    assert [row["count"] for row in found] == [1.5, 3.5, 3.0, 5.0]
    assert found[2]["loss"] == pytest.approx(sum(seen) / 5)
    assert found[3]["partial"]
    assert "partial" not in found[1]


def test_a_batch_of_which_nothing_could_be_read_is_left_out(tmp_path):
    _, trained = train(tmp_path, loader=ToyLoader(empty=(0, 3)), epochs=2, log_every=1)
    assert trained.step == 8
    assert [row["skipped_batches"] for row in rows(tmp_path) if row["kind"] == "step"] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_plain_generator_of_batches_is_a_loader_too():
    class Simple(ToyLoader):
        def epoch(self, epoch, skip_batches=0):
            return (None if n in self.empty else self.batch(epoch, n) for n in range(skip_batches, len(self)))

    ours, trained = train(None, loader=ToyLoader(empty=(0, 3)))
    theirs, simple = train(None, loader=Simple(empty=(0, 3)))
    assert (simple.step, simple.loss) == (trained.step, trained.loss)
    assert torch.equal(ours.out.weight, theirs.out.weight)


def test_an_epoch_of_nothing_is_an_error():
    with pytest.raises(TrainingError, match="no batch of epoch 0"):
        train(None, loader=ToyLoader(empty=tuple(range(6))))


def test_no_data_at_all_is_an_error():
    with pytest.raises(TrainingError, match="not one batch"):
        train(None, loader=ToyLoader(count=0))


def test_a_loss_that_is_no_number_stops_before_it_is_saved(tmp_path):
    class Bad(Toy):
        def forward(self, views):
            step = super().forward(views)
            return Step(step.loss * (torch.nan if self.steps == 7 else 1), step.logs)

    with pytest.raises(
        TrainingError, match=r"the loss is nan at step 8: lower the learning rate .* the last good state"
    ):
        train(tmp_path, method=toy(Bad), save_every=2, log_every=100)
    from telltime.training.state import facts_of

    assert facts_of(tmp_path / "checkpoints" / "last.safetensors")["position"]["step"] == 6


def test_an_error_of_the_loader_comes_through():
    with pytest.raises(OSError, match="the disk is gone"):
        train(None, loader=ToyLoader(fail_at=2))


def test_best_kept_and_last_models_are_exported(tmp_path):
    from telltime.training.run import Run

    losses = iter([3.0, 2.0, 2.5, 2.4, 1.0])

    class Scripted(Plain):
        def forward(self, views):
            step = super().forward(views)
            return Step(step.loss * 0 + next(losses), {})

    wrote = []

    def export(folder, state):
        folder.mkdir(parents=True, exist_ok=True)
        wrote.append((folder.name, sorted(state)))

    method = toy(Scripted)
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1)
    with Run(tmp_path / "run") as run:
        fit(
            method,
            ToyLoader(count=4),
            optimiser,
            Constant(),
            Settings(epochs=5, keep_every=3, device="cpu"),
            run,
            export=export,
        )
    assert [name for name, _ in wrote] == [
        "best",
        "model",
        "best",
        "model",
        "model",
        "epoch-0003",
        "model",
        "best",
        "model",
    ]
    assert wrote[0][1] == ["out.bias", "out.weight"]


def test_weights_of_3d_convolutions_have_channels_last():
    method, _ = train(None, max_steps=1)
    assert method.conv.weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_compiled_and_plain_forwards_agree():
    plain, _ = train(None, method=toy(Plain))
    method = toy(Plain)
    method.compile = lambda: torch.nn.Module.compile(method, backend="eager")
    compiled, _ = train(None, method=method, compile=True)
    torch.testing.assert_close(compiled.out.weight, plain.out.weight)


def test_bf16_computes_in_bf16_and_keeps_weights_in_float32():
    types = []

    class Spy(Toy):
        def forward(self, views):
            x = self.conv(views[0])
            types.append(x.dtype)
            return super().forward(views)

    method, trained = train(None, method=toy(Spy), precision="bf16", max_steps=2)
    assert set(types) == {torch.bfloat16}
    assert method.conv.weight.dtype == torch.float32
    assert trained.loss > 0


def test_precision_follows_the_hardware():
    cpu = torch.device("cpu")
    assert precision("fp32", cpu) is None
    assert precision("bf16", cpu) is torch.bfloat16
    assert precision("auto", cpu) is None
    assert precision("auto", torch.device("meta")) is None
    with pytest.raises(TrainingError, match="'fp8'"):
        precision("fp8", cpu)


def test_biases_and_norms_can_be_kept_from_decay():
    method = toy()
    assert len(parameter_groups(method)) == 1
    deep, flat = parameter_groups(method, decay_norms=False)
    assert {p.ndim for p in deep["params"]} == {2, 5}
    assert {p.ndim for p in flat["params"]} == {1}
    assert flat["weight_decay"] == 0.0
    method.conv.weight.requires_grad_(False)
    assert sum(len(group["params"]) for group in parameter_groups(method, decay_norms=False)) == 5


def test_parts_may_learn_at_a_share_of_the_rate():
    method = toy()
    groups = parameter_groups(method, decay_norms=False, rates={"conv.": 0.1, "out": 2.0})
    assert sum(len(group["params"]) for group in groups) == len(list(method.parameters()))
    optimiser = scale_rates(torch.optim.SGD(groups, lr=0.5))
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    for name, parameter in method.named_parameters():
        expected = 0.05 if name.startswith("conv") else 1.0 if name.startswith("out") else 0.5
        assert rates[id(parameter)] == pytest.approx(expected), name
    with pytest.raises(ValueError, match="'head'"):
        parameter_groups(method, rates={"head": 0.1})


def test_weight_decay_follows_the_schedule_and_a_method_is_told_the_length():
    class Paced(Plain):
        told: int | None = None
        decays: list[tuple[float, float]]

        def set_length(self, steps):
            self.told, self.decays = steps, []

        def after_step(self):
            self.decays.append(tuple(group["weight_decay"] for group in optimiser.param_groups))

    method = Paced()
    optimiser = torch.optim.AdamW(parameter_groups(method, decay_norms=False), lr=1e-3, weight_decay=0.04)
    loader = ToyLoader(count=16)
    fit(method, loader, optimiser, Cosine(decay=0.4), Settings(epochs=2, max_steps=7, device="cpu"))
    assert method.told == 2 * len(loader)
    assert len(method.decays) == 7
    first, last = method.decays[0], method.decays[-1]
    assert first == (pytest.approx(0.04), 0.0)
    assert 0.3 < last[0] < 0.4
