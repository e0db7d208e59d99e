"""TCLR's step: the fused forward against separate ones, micro-batches, weights and edges."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.backbones.r3d import R3D18, R2Plus1D18
from telltime.losses.contrast import nt_xent
from telltime.methods import tclr
from telltime.methods.tclr import FORWARD_ORDER, TCLR, VIEWS, Weights


def reader(video: Any, rng: np.random.RandomState) -> dict[str, Tensor]:
    return {}


def method(seed: int = 0, **options: Any) -> TCLR:
    torch.manual_seed(seed)
    net = options.pop("backbone", R3D18)(width=4)
    return TCLR(net, options.pop("reader", reader), dim=8, **options).double()


def clips(videos: int = 3, frames: int = 16, size: int = 24, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(VIEWS * videos, 3, frames, size, size, generator=generator, dtype=torch.float64)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def close(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], msg=lambda text, name=name: f"{name}: {text}")


def plain_norms(module: nn.Module) -> nn.Module:
    """The same network with PyTorch's own batch norms."""
    for name, child in module.named_children():
        if isinstance(child, tclr.ViewBatchNorm):
            norm = nn.BatchNorm1d(child.num_features) if name in ("bn1", "bn2") else nn.BatchNorm3d(child.num_features)
            norm.load_state_dict(child.state_dict())
            setattr(module, name, norm.double())
        else:
            plain_norms(child)
    return module


def published_step(model: TCLR, views: Tensor) -> Tensor:
    """The step as published: ten forwards, a head call for every mean and slice, and loops over pairs."""

    def head(features: Tensor) -> Tensor:
        head = model.head
        return F.normalize(head.bn2(head.fc2(F.relu(head.bn1(head.fc1(features))))), dim=-1)

    whole, parts, local = [], [], []
    for position, view in enumerate(views.chunk(VIEWS)):
        slices = model.backbone(view).mean((3, 4))
        embedded = head(slices.mean(-1))
        if position < 2:
            whole.append(embedded)
            parts.append([head(slices[..., t]) for t in range(4)])
        else:
            local.append(embedded)
    loss = nt_xent(whole[0], whole[1])
    for a in range(8):
        for b in range(8):
            if a != b:
                loss = loss + nt_xent(local[a], local[b]) / 4
    versions = [local[:4], local[4:]]
    for video in range(len(whole[0])):
        loss = loss + nt_xent(*[torch.stack([clip[video] for clip in version]) for version in versions])
        for slices in parts:
            for version in versions:
                logits = torch.stack([s[video] for s in slices]) @ torch.stack([c[video] for c in version]).T / 0.1
                both = F.cross_entropy(logits, torch.arange(4), reduction="sum")
                both = both + F.cross_entropy(logits.T, torch.arange(4), reduction="sum")
                loss = loss + both / (2 * len(whole[0]))
    return loss


@pytest.mark.parametrize("backbone", [R3D18, R2Plus1D18])
def test_one_fused_forward_is_the_published_ten(backbone: type[nn.Module]) -> None:
    fused = method(backbone=backbone)
    published = plain_norms(copy.deepcopy(fused))
    assert isinstance(published, TCLR)
    step = fused(clips())
    step.loss.backward()
    expected = published_step(published, clips())
    expected.backward()
    torch.testing.assert_close(step.loss, expected)
    close(gradients(fused), gradients(published))
    close(fused.state_dict(), published.state_dict())
    assert fused.state_dict()["head.bn1.num_batches_tracked"] == 18
    assert fused.state_dict()["backbone.layer1.0.conv1.1.num_batches_tracked"] == 10


@pytest.mark.parametrize("per_pass", [1, 3, 5, 9])
def test_micro_batches_of_views_give_the_same_gradient_and_statistics(per_pass: int) -> None:
    whole, parts = method(), method(views_per_pass=per_pass)
    steps = [model(clips()) for model in (whole, parts)]
    for step in steps:
        step.loss.backward()
    torch.testing.assert_close(steps[1].loss, steps[0].loss)
    close(gradients(parts), gradients(whole))
    close(parts.state_dict(), whole.state_dict())


def test_micro_batches_keep_fewer_activations() -> None:
    def kept(model: TCLR) -> int:
        sizes: dict[int, int] = {}

        def pack(x: Tensor) -> Tensor:
            sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            model(clips())
        return sum(sizes.values())

    assert kept(method(views_per_pass=1)) < kept(method()) / 3


def test_a_step_without_gradient_gives_the_same_loss() -> None:
    model = method(views_per_pass=2)
    with torch.no_grad():
        loss = copy.deepcopy(model)(clips()).loss
    torch.testing.assert_close(loss, model(clips()).loss.detach())


def test_a_single_video_learns_from_time_alone_and_stays_finite() -> None:
    model = method()
    before = copy.deepcopy(model.head.state_dict())
    step = model(clips(1))
    step.loss.backward()
    assert step.logs["ic_global"] == 0
    assert step.logs["ic_local"] == 0
    assert step.logs["local_local"] > 0
    assert all(grad.isfinite().all() for grad in gradients(model).values())
    assert max(grad.abs().max() for grad in gradients(model).values()) > 0
    close(model.head.state_dict(), before)
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_bfloat16_clips_meet_in_a_full_precision_loss() -> None:
    model = method().float()
    views = clips(size=32).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step = model(views)
    step.loss.backward()
    assert step.loss.dtype == torch.float32
    assert all(grad.dtype == torch.float32 and grad.isfinite().all() for grad in gradients(model).values())
    exact = method().float()(views).loss
    assert step.loss.item() == pytest.approx(exact.item(), rel=0.1)


def test_terms_add_up_to_the_loss_by_their_weights() -> None:
    weights = Weights(ic_global=2, ic_local=0.5, local_local=0, global_local=3)
    logs = method(weights=weights)(clips()).logs
    assert set(logs) == {"ic_global", "ic_local", "local_local", "global_local", "loss"}
    expected = 2 * logs["ic_global"] + 0.5 * logs["ic_local"] + 3 * logs["global_local"]
    torch.testing.assert_close(logs["loss"], expected)
    assert not any(value.requires_grad for value in logs.values())


def test_mean_reduction_is_the_paper_scale_taken_away() -> None:
    paper, mean = method()(clips()).logs, method(reduction="mean")(clips()).logs
    for name, factor in {"ic_global": 1, "ic_local": 14, "local_local": 3, "global_local": 16}.items():
        torch.testing.assert_close(paper[name], factor * mean[name])


def test_instance_contrast_alone_leaves_no_gradient_through_slices() -> None:
    alone = method(weights=Weights(local_local=0, global_local=0))
    step = alone(clips())
    step.loss.backward()
    torch.testing.assert_close(step.loss.detach(), step.logs["ic_global"] + step.logs["ic_local"])
    assert set(gradients(alone)) == {name for name, _ in alone.named_parameters()}


def test_identical_embeddings_of_forty_videos_cost_what_the_publication_costs() -> None:
    same = F.normalize(torch.ones(2, 40, 4, 8), dim=-1)
    logs = method().objective(same[:, :, 0], same, same).logs
    expected = {"ic_global": 4.369, "ic_local": 61.17, "local_local": 77.84, "global_local": 22.18, "loss": 165.56}
    assert {name: value.item() for name, value in logs.items()} == pytest.approx(expected, rel=1e-3)


def test_views_come_view_after_view_in_the_published_order() -> None:
    videos = 3
    numbers = torch.arange(videos * VIEWS, dtype=torch.uint8).view(videos, VIEWS)
    batch = {
        "clips": numbers[..., None, None, None, None].expand(-1, -1, 16, 3, 8, 8),
        "channel": torch.where(numbers % 3 == 0, 1, -1),
        "start": torch.arange(videos),
        "index": torch.arange(videos),
        "label": torch.full((videos,), -1),
    }
    views = method().views(batch, torch.Generator())
    assert FORWARD_ORDER == (0, 1, 2, 4, 6, 8, 3, 5, 7, 9)
    expected = [video * VIEWS + view for view in FORWARD_ORDER for video in range(videos)]
    assert views.shape == (VIEWS * videos, 3, 16, 8, 8)
    assert views.is_contiguous(memory_format=torch.channels_last_3d)
    assert (255 * views[:, 0, 5, 2, 3]).round().tolist() == expected
    assert (255 * views[:, 1, 5, 2, 3]).round().tolist() == [n if n % 3 else 0 for n in expected]


def test_embedding_is_map_slices_and_mean() -> None:
    model = method().eval()
    embedding = model.embed(clips(1)[:2])
    assert embedding.map.shape == (2, 32, 4, 2, 2)
    torch.testing.assert_close(embedding.slices, embedding.map.mean((3, 4)))
    torch.testing.assert_close(embedding.pooled, embedding.map.mean((2, 3, 4)))


def test_a_step_lowers_the_loss_of_its_batch() -> None:
    model = method(reduction="mean")
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    for _ in range(6):
        loss = model(clips()).loss
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.after_step()
    assert losses[-1] < 0.8 * losses[0]


def test_impossible_settings_and_inputs_are_named() -> None:
    with pytest.raises(ValueError, match="not 'sum'"):
        method(reduction="sum")
    with pytest.raises(ValueError, match="not 0"):
        method(temperature=0)
    with pytest.raises(ValueError, match="not 11"):
        method(views_per_pass=11)
    with pytest.raises(ValueError, match="29 clips are not 10 views"):
        method()(clips()[:-1])
    with pytest.raises(ValueError, match="clips of 8 frames gave 2"):
        method()(clips(2, frames=8))
