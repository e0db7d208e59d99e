"""TimeT step by step: what learns, what is kept, what a teacher and a queue do, and how it is trained and resumed."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from telltime.backbones.dense import DenseEncoder
from telltime.methods.method import Paced
from telltime.methods.timet import TimeT

TINY: dict[str, Any] = {"patch": 8, "dim": 16, "depth": 3, "heads": 2, "grid": 4}


def make(name: str = "tiny", **how: Any) -> TimeT:
    torch.manual_seed(0)
    encoder = DenseEncoder(name, shape=TINY) if name == "tiny" else DenseEncoder(name, pretrained=False)
    return TimeT(encoder, **{"prototypes": 6, "head": (12, 8)} | how).train()


def clips(count: int = 2, frames: int = 3, side: int = 32, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, frames, 3, side, side, generator=torch.Generator().manual_seed(seed))


def step(method: TimeT, views: torch.Tensor, optimiser: torch.optim.Optimizer | None = None) -> float:
    loss, logs = method(views)
    loss.backward()
    if optimiser is not None:
        optimiser.step()
        optimiser.zero_grad()
    method.after_step()
    assert set(logs) == {"loss", "used"}
    return loss.item()


def plainly(method: TimeT, views: torch.Tensor) -> torch.Tensor:
    """The loss by whole passes over every frame and a gradient through all of them."""
    from telltime.losses.forwarding import forward_labels
    from telltime.losses.sinkhorn import sinkhorn

    count, frames = views.shape[:2]
    grids = method.encoder(views.flatten(0, 1)).unflatten(0, (count, frames))
    rows = method.head(grids.permute(0, 1, 3, 4, 2))
    scores = F.normalize(rows, dim=-1) @ method.prototypes.T
    taken = scores[:, :1] if method.sinkhorn_over == "first" else scores
    q = sinkhorn(taken.flatten(0, 3).detach()).unflatten(0, taken.shape[:4])[:, 0]
    labels = forward_labels(grids.detach(), q.permute(0, 3, 1, 2))[:, -1].argmax(1)
    return F.cross_entropy(scores[:, -1].flatten(0, 2) / 0.1, labels.flatten())


@pytest.mark.parametrize("name", ["tiny", "resnet10t", "unparted"])
@pytest.mark.parametrize("over", ["first", "all"])
def test_one_pass_gives_the_loss_and_gradients_of_whole_passes(name: str, over: str) -> None:
    method, views = make("tiny" if name == "tiny" else "resnet10t", sinkhorn_over=over), clips(2, 3, 64)
    if name == "unparted":  # a network that is no plain chain of its modules
        method.encoder._maps.names, method.encoder._first = [], 0  # type: ignore[union-attr]
    expected = plainly(method, views)
    expected.backward()
    gradients = {key: p.grad.clone() for key, p in method.named_parameters() if p.grad is not None}
    method.zero_grad()
    loss, _ = method(views)
    loss.backward()
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)
    for key, parameter in method.named_parameters():
        if key in gradients:
            torch.testing.assert_close(parameter.grad, gradients[key], atol=1e-4, rtol=1e-2, msg=key)
        else:
            assert parameter.grad is None, key


def test_a_few_steps_lower_the_loss_and_leave_frozen_weights_alone() -> None:
    method = make(reader=print)
    before = copy.deepcopy(method.state_dict())
    optimiser = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=3e-3)
    losses = [step(method, clips(), optimiser) for _ in range(30)]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    after = method.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert {"prototypes", "steps", "head.0.weight", "encoder.network.blocks.2.mlp.fc1.weight"} <= moved
    frozen = ("blocks.0", "cls_token", "pos_embed", "patch_embed", "norm.")
    assert not any(key.startswith(tuple(f"encoder.network.{name}" for name in frozen)) for key in moved)
    torch.testing.assert_close(method.prototypes.norm(dim=-1), torch.ones(6))


def test_prototypes_may_be_brought_to_length_before_a_step() -> None:
    method = make(normalise_prototypes="before")
    with torch.no_grad():
        method.prototypes.mul_(3)
    method(clips())
    torch.testing.assert_close(method.prototypes.norm(dim=-1), torch.ones(6))


def test_the_teacher_goes_after_the_student() -> None:
    right, published = make(teacher="ema", momentum=0.9), make(teacher="published", momentum=0.9)
    for method, share in ((right, 0.1), (published, 0.9)):
        before = method.teacher.head[0].weight.clone()  # type: ignore[union-attr]
        with torch.no_grad():
            method.head[0].weight.add_(1.0)  # type: ignore[operator,union-attr]
        method.after_step()
        torch.testing.assert_close(method.teacher.head[0].weight - before, torch.full_like(before, share))  # type: ignore[union-attr]
    assert right._trunk_is_shared()
    assert not any(p.requires_grad for p in right.teacher.parameters())  # type: ignore[union-attr]
    assert isinstance(right, Paced)
    right.set_length(10)
    right.steps.fill_(50)
    assert 0.9 < float(right._momentum()) < 1


def test_a_teacher_of_its_own_frozen_weights_runs_them() -> None:
    method = make(teacher="ema")
    method(clips())
    assert method._trunk_is_shared()
    state = method.state_dict()
    key = "teacher.encoder.network.patch_embed.proj.weight"
    state[key] = torch.randn_like(state[key])
    method.load_state_dict(state)
    loss, _ = method(clips())
    assert not method._trunk_is_shared()
    assert loss != make(teacher="ema")(clips()).loss


def test_a_queue_counts_once_it_is_full_and_is_saved() -> None:
    queued, alone = make(queue=50), make()
    assert queued.queue is not None
    views = clips()  # 32 places in both first frames, of which 20 are drawn
    torch.testing.assert_close(queued(views).loss, alone(views).loss)
    torch.testing.assert_close(queued(views).loss, alone(views).loss)
    assert not queued.queue.mine()[1]
    queued(clips(seed=5))
    assert queued.queue.mine()[1]
    assert "queue.rows" in queued.state_dict()
    before = queued.queue.rows.clone()
    queued.eval()(views)
    assert torch.equal(before, queued.queue.rows)


def test_views_and_embeddings() -> None:
    method = make()
    batch = {"clips": torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8)}
    views = method.views(batch, torch.Generator())
    torch.testing.assert_close(views, method.encoder.prepare(batch["clips"]))
    red = make(std=(0.1, 0.225, 0.225)).views(batch, torch.Generator())
    torch.testing.assert_close(red[:, :, 0] * 0.1, views[:, :, 0] * method.encoder.std[0])
    flipped = method.views(batch | {"flip": torch.tensor([True, False])}, torch.Generator())
    torch.testing.assert_close(flipped[0], views[0].flip(-1))
    embedding = method.embed(batch["clips"].transpose(1, 2) / 255)
    assert embedding.map.shape == (2, 16, 3, 4, 4)
    torch.testing.assert_close(embedding.map[:, :, 1], method.encoder(views[:, 1]))


def test_what_does_not_fit_is_refused() -> None:
    for wrong in ({"prototypes": 1}, {"queue": -1}, {"momentum": 2.0}, {"teacher": "none"}, {"sinkhorn_over": "last"}):
        with pytest.raises(ValueError, match=r"prototypes|queue|momentum|teacher|sinkhorn_over"):
            make(**wrong)
    with pytest.raises(ValueError, match="two frames or more"):
        make()(clips(frames=1))
    with pytest.raises(ValueError, match="no attention"):
        make("resnet10t", foreground=True)(clips(side=64))
