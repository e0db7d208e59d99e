"""TIME as users meet it: other backbones, other weights, unlabelled clips, and settings that make no sense."""

from typing import Any

import pytest
import torch
from torch import nn

from telltime.backbones.motionformer import Motionformer
from telltime.backbones.r3d import R3D18
from telltime.backbones.timesformer import TimeSformer
from telltime.backbones.xvit import XViT
from telltime.methods.method import Batch, Classifies, Step
from telltime.methods.time import TIME, arranged, token_grid
from telltime.training.optim import parameter_groups
from telltime.views.farneback import flow_labels
from telltime.views.readers import ProbeReader, TCLRReader
from telltime.views.time_reader import TimeReader

SIZE, FRAMES = 32, 4


def transformer(kind: Any = TimeSformer, **more: Any) -> Any:
    return kind(frames=FRAMES, size=SIZE, patch=16, dim=24, depth=2, heads=2, **{"drop_path": 0.0} | more)


def made(backbone: nn.Module | None = None, frames: int = FRAMES, seed: int = 0, **more: Any) -> TIME:
    torch.manual_seed(seed)
    reader = TimeReader(SIZE, frames, values="none")
    return TIME(backbone or transformer(), reader, **{"classes": 3} | more).train()


def batch(count: int = 3, frames: int = FRAMES, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randint(0, 256, (count, frames, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    return {"clips": clips, "label": torch.arange(count) % 3, "index": torch.arange(count)}


def step(method: TIME, items: Batch, seed: int = 0) -> Step:
    torch.manual_seed(seed)
    return method(method.views(items, torch.Generator().manual_seed(seed)))


BACKBONES = [
    lambda: transformer(attention="joint"),
    lambda: transformer(attention="space"),
    lambda: transformer(Motionformer),
    lambda: transformer(Motionformer, tube=2),
    lambda: transformer(XViT, dropout=0.0),
    lambda: R3D18(2),
]


@pytest.mark.parametrize("number", range(len(BACKBONES)))
def test_any_network_of_clips_learns_all_tasks(number: int) -> None:
    backbone = BACKBONES[number]()
    frames = 16 if isinstance(backbone, R3D18) else FRAMES
    method = made(backbone, frames)
    done = step(method, batch(frames=frames))
    assert torch.isfinite(done.loss)
    assert {"class", "order", "flow", "debias", "confidence_shuffled"} <= set(done.logs)
    done.loss.backward()
    lost = [name for name, p in method.named_parameters() if p.grad is None]
    assert not lost, lost
    method.eval()
    embedded = method.embed(torch.rand(2, 3, frames, SIZE, SIZE))
    assert embedded.map.shape == (2, backbone.channels, *method.grid)
    assert embedded.pooled.shape == (2, backbone.channels)


def test_one_batch_is_what_two_passes_give() -> None:
    method = made(order_on="shuffled", permutation="sample")
    views = method.views(batch(), torch.Generator().manual_seed(3))
    tokens, seen = method._both(views.clips, views.places)
    backbone: Any = method.backbone
    again = [backbone.tokens_and_class(clip) for clip in (views.clips, arranged(views.clips, views.places, 2))]
    torch.testing.assert_close(tokens, torch.cat([pair[0] for pair in again]))
    torch.testing.assert_close(seen, torch.cat([pair[1] for pair in again]))
    for clip, places in enumerate(views.places):
        torch.testing.assert_close(
            arranged(views.clips, views.places, 2)[clip], views.clips[clip][:, places.tolist()], rtol=0, atol=0
        )


def test_permutations_are_what_they_are_called() -> None:
    generator = torch.Generator().manual_seed(0)
    found = {
        kind: made(permutation=kind)._places(200, 5, generator) for kind in ("batch", "sample", "moved", "reversed")
    }
    assert found["batch"].shape == found["reversed"].shape == (1, 5)
    assert found["reversed"].tolist() == [[4, 3, 2, 1, 0]]
    for places in found.values():
        assert places.sort(1).values.eq(torch.arange(5)).all()
    assert (found["sample"] == torch.arange(5)).all(1).any()
    assert not (found["moved"] == torch.arange(5)).any()
    assert len(found["moved"].unique(dim=0)) > 15


def test_a_task_of_weight_0_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telltime.methods.time.flow_labels", lambda *_: pytest.fail("directions were estimated"))
    plain = made(order=0, debias=0, flow=0)
    sizes: list[int] = []
    plain.backbone.register_forward_hook(lambda *_: sizes.append(0))
    done = step(plain, batch())
    assert set(done.logs) == {"class", "top1", "confidence"}
    assert plain.shuffles(8) == 0
    reader = TimeReader(SIZE, FRAMES, values="none", flow=True)
    assert not TIME(transformer(), reader, 3, flow=0).reader.flow  # type: ignore[attr-defined]


def test_clips_without_labels_teach_time_alone() -> None:
    unlabelled = batch() | {"label": torch.full((3,), -1)}
    method = made(classes=0)
    assert method.classifier is None
    assert set(step(method, unlabelled).logs) == {"order", "order_top1", "flow", "flow_top1"}
    with pytest.raises(ValueError, match="nothing to learn"):
        step(made(classes=0, order=0, flow=0), unlabelled)
    some = batch() | {"label": torch.tensor([1, -1, -1])}
    first = {key: value[:1] for key, value in batch().items()} | {"label": torch.tensor([1])}
    method = made()
    torch.testing.assert_close(step(method, some).logs["class"], step(method, first).logs["class"])
    assert step(method, unlabelled).logs["class"] == 0


def test_the_number_of_classes_comes_from_the_data() -> None:
    method = made(classes=None)
    assert isinstance(method, Classifies)
    method.set_classes(5)
    assert method.classifier is not None
    assert method.classifier.out_features == method.classes == 5
    told = made(classes=3)
    told.set_classes(2)
    assert told.classifier is not None
    assert told.classifier.out_features == 3
    with pytest.raises(ValueError, match="the data has 4 classes, the method was told 3"):
        told.set_classes(4)
    alone = made(classes=0)
    alone.set_classes(4)
    assert alone.classifier is None


def test_directions_come_from_the_reader_or_are_estimated() -> None:
    method = made(flow_floor=0.1)
    items = batch()
    estimated = method.views(items, torch.Generator()).flow
    assert estimated is not None
    assert torch.equal(estimated, flow_labels(items["clips"].float() / 255, (2, 2), 0.1))
    given = torch.zeros(3, 3, 4, dtype=torch.int64)
    assert torch.equal(method.views(items | {"flow": given}, torch.Generator()).flow, given)
    with pytest.raises(ValueError, match=r"directions of \[3, 3, 9\], TimeSformer has tokens for \[3, 3, 4\]"):
        method.views(items | {"flow": torch.zeros(3, 3, 9, dtype=torch.int64)}, torch.Generator())


def test_part_of_a_batch_is_shuffled() -> None:
    method = made(shuffled_share=0.5, order_on="shuffled", permutation="sample")
    views = method.views(batch(5), torch.Generator())
    assert method._both(views.clips, views.places)[1].shape[0] == 5 + 3
    assert torch.isfinite(method(views).loss)


def test_readers_of_one_view_serve_too_and_those_of_many_do_not() -> None:
    torch.manual_seed(0)
    method = TIME(transformer(), ProbeReader(SIZE, FRAMES, order="rgb"), 3)
    items = batch() | {"flip": torch.zeros(3, 1, dtype=torch.bool)}
    views = method.views(items | {"clips": items["clips"][:, None]}, torch.Generator())
    assert views.clips.shape == (3, 3, FRAMES, SIZE, SIZE)
    torch.testing.assert_close(views.clips, made().views(batch(), torch.Generator()).clips)
    method = TIME(transformer(), TCLRReader(SIZE, FRAMES), 3)
    with pytest.raises(ValueError, match="TIME takes one clip of a video, TCLRReader gives 10"):
        method.views(items | {"clips": items["clips"][:, None].expand(-1, 10, -1, -1, -1, -1)}, torch.Generator())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"flow": -1.0}, "at least 0"),
        ({"smoothing": 1.0}, "smoothing below 1"),
        ({"shuffled_share": 0.0}, r"within \(0, 1\]"),
        ({"permutation": "some"}, "permutation is one of batch, sample, moved, reversed"),
        ({"order_on": "both"}, 'order_on "ordered" or "shuffled"'),
    ],
)
def test_settings_that_mean_nothing(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        made(**more)


def test_networks_that_see_no_order() -> None:
    with pytest.raises(ValueError, match="R3D18 sees 4 frames as one moment"):
        made(R3D18(2))
    with pytest.raises(ValueError, match="asks for the place of each of 16 frames, but R3D18 has 4"):
        made(R3D18(2), 16, order_on="shuffled")
    assert token_grid(R3D18(2), 16, 32) == (4, 2, 2)


def test_xvit_starts_its_heads_wide_and_the_others_narrow() -> None:
    assert made().head.mlp_q.weight.std() < 0.03
    assert not made().head.mlp_q.bias.any()
    wide = made(transformer(XViT)).head
    assert wide.mlp_q.weight.std() > 0.05
    assert wide.mlp_q.bias.any()


def test_a_few_steps_learn() -> None:
    method = made(smoothing=0.0)
    optimiser = torch.optim.AdamW(parameter_groups(method, decay_norms=False), lr=3e-3, amsgrad=True)
    before = step(method, batch())
    for number in range(12):
        optimiser.zero_grad()
        step(method, batch(), number).loss.backward()
        optimiser.step()
    after = step(method, batch())
    assert after.logs["class"] < before.logs["class"]
    assert after.logs["order"] < before.logs["order"]


def test_labels_are_mixed_as_clips_are() -> None:
    method = made(order=0.0, debias=0.0, flow=0.0)
    items = batch(4)

    def loss(share: float, **more: Any) -> torch.Tensor:
        return step(method, items | {"mix": torch.full((4,), share, dtype=torch.float64)} | more).loss

    torch.testing.assert_close(loss(1.0), step(method, items).loss)
    swapped = {key: items[key].flip(0) for key in ("clips", "label")}
    torch.testing.assert_close(loss(0.5), loss(0.5, **swapped))
    known = items["label"].clone()
    known[:2] = -1  # mixed with clips that have a label
    assert 0 < loss(0.7, label=known) < 10
    assert loss(0.7, label=torch.full((4,), -1)) == 0
