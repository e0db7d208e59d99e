import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional as tv

from telltime.checkpoints.model import ClipSpec, Model
from telltime.clips.item import item_rng
from telltime.datasets import load
from telltime.media.video import Probe, Video
from telltime.media.write import write_video
from telltime.tasks.clips import normalised
from telltime.tasks.finetune import Finetune, Passes, finetune
from telltime.tasks.measuring import Reading
from telltime.tasks.severe import TestReader, TrainReader, clip_frames, jittered, last_start, random_box


def probe(frames, rate):
    return Probe(frames, rate, 64, 48, 0, "mpeg4", frames / max(rate, 1))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.sampled_from([0.0, 10.0, 16.0, 25.0, 29.97, 60.0]), st.integers(1, 40))
def test_clips_keep_their_pace_and_stay_inside(frames, rate, length):
    video = probe(frames, rate)
    last = last_start(video, length, 16.0)
    found = clip_frames(video, last, length, 16.0)
    assert ((found >= 0) & (found < frames)).all()
    step = rate / 16 if rate else 1
    if frames > (length - 1) * step + 1:
        assert found[-1] <= frames - 1
        assert (np.diff(found) >= int(step)).all()
        if length > 1:
            assert (found[-1] - found[0]) / (length - 1) == pytest.approx(step, abs=1 / (length - 1))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.integers(1, 300), st.integers(1, 300))
def test_random_boxes_lie_in_the_picture(seed, height, width):
    top, left, h, w = random_box(np.random.RandomState(seed), height, width, (0.08, 1.0))
    assert h >= 1
    assert w >= 1
    assert 0 <= top <= height - h
    assert 0 <= left <= width - w


def test_readers_give_one_shape_for_long_and_short_videos(tmp_path):
    for name, frames in (("long", 80), ("short", 9)):
        write_video(tmp_path / f"{name}.avi", (np.full((48, 64, 3), 3 * t, np.uint8) for t in range(frames)))
        video = Video(tmp_path / f"{name}.avi")
        item = TrainReader(size=24)(video, item_rng(0, 0, "a"))
        assert item["clips"].shape == (1, 32, 3, 24, 24)
        assert torch.equal(item["clips"], TrainReader(size=24)(video, item_rng(0, 0, "a"))["clips"])
        assert not torch.equal(item["factors"], TrainReader(size=24)(video, item_rng(0, 1, "a"))["factors"])
        test = TestReader(positions=3, size=24)(video)
        assert test["clips"].shape == (3, 32, 3, 24, 24)
    long = TestReader(positions=3, size=24)(Video(tmp_path / "long.avi"))["clips"].float().mean((1, 2, 3, 4))
    assert (long.diff() > 20).all()


def test_colours_are_pillows(golden):
    picture = golden.inputs.frame("any", 0, 40, 40)
    clip = torch.from_numpy(picture).permute(2, 0, 1)[None, None]
    factors = torch.tensor([[1.3, 0.7, 1.2, 0.15]])
    order = torch.tensor([[2, 0, 3, 1]])
    found = jittered(clip, factors, order, torch.tensor([True]))[0, :, 0]
    image = tv.adjust_brightness(tv.adjust_saturation(Image.fromarray(picture), 1.2), 1.3)
    image = tv.hflip(tv.adjust_contrast(tv.adjust_hue(image, 0.15), 0.7))
    expected = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    assert ((found * 255).round() - expected).abs().max() <= 2


def test_a_batch_is_its_clips_alone():
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (19, 2, 3, 8, 8), dtype=torch.uint8, generator=generator)
    factors = torch.rand(19, 4, generator=generator) * 0.4 + torch.tensor([0.8, 0.8, 0.8, -0.2])
    order = torch.stack([torch.randperm(4, generator=generator) for _ in range(19)])
    flip = torch.arange(19) % 3 == 0
    whole = jittered(clips, factors, order, flip)
    for i in (0, 5, 16, 18):
        alone = jittered(clips[i : i + 1], factors[i : i + 1], order[i : i + 1], flip[i : i + 1])
        assert torch.equal(alone[0], whole[i])


def test_channels_are_put_in_the_networks_order(tiny_model):
    clips = torch.randint(0, 256, (2, 1, 4, 3, 8, 8), dtype=torch.uint8)
    still = {"factors": torch.tensor([[[1.0, 1, 1, 0]]] * 2), "order": torch.tensor([[[0, 1, 2, 0]]] * 2)}
    batch = {"clips": clips, "label": torch.tensor([0, 1]), "flip": torch.zeros(2, 1, dtype=torch.bool), **still}
    for order, mean in (("bgr", None), ("rgb", (0.1, 0.2, 0.3))):
        model = Model(tiny_model.backbone, ClipSpec(size=8, order=order, mean=mean))
        views, labels = Finetune(model, TrainReader()).views(batch, torch.Generator())
        torch.testing.assert_close(views, model.prepare(clips[:, 0]))
        assert labels.tolist() == [0, 1]
    assert normalised(torch.ones(1, 3, 1, 1, 1), ClipSpec(std=(0.5, 0.5, 0.5))).unique().tolist() == [2.0]


class Numbers:
    """A loader of three batches an epoch, of which the second cannot be read."""

    def __len__(self):
        return 3

    def epoch(self, epoch, skip_batches=0):
        loader = self

        class Batches:
            position = skip_batches

            def __next__(self):
                while self.position < len(loader):
                    self.position += 1
                    if self.position != 2:
                        return (epoch, self.position - 1)
                raise StopIteration

        return Batches()


def test_passes_go_on_where_they_were():
    loader = Passes(Numbers(), 4)
    batches = loader.epoch(2)
    whole = [(batch, batches.position) for batch in batches]
    assert len(loader) == 12
    assert [batch for batch, _ in whole] == [(epoch, i) for epoch in (8, 9, 10, 11) for i in (0, 2)]
    assert [position for _, position in whole] == [1, 3, 4, 6, 7, 9, 10, 12]
    for skipped in range(13):
        batches = loader.epoch(2, skip_batches=skipped)
        assert [(batch, batches.position) for batch in batches] == [one for one in whole if one[1] > skipped]
        assert batches.position == 12


def test_finetuning_trains_everything_and_writes_the_model(tiny_ucf, tiny_model, tmp_path):
    splits = load("ucf101", tiny_ucf, "train"), load("ucf101", tiny_ucf, "test")
    before = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    settings_ = {"epochs": 2, "passes": 1, "frames": 8, "positions": 2, "batch": 6}
    result = finetune(tiny_model, *splits, Reading(), out=tmp_path, **settings_)
    assert all(torch.equal(before[key], value) for key, value in tiny_model.state_dict().items())
    assert set(result.metrics) == {"top1", "top5", "mean_class_top1"}
    assert len(result.details["curves"]["train loss"]) == 2
    assert (result.records, result.dropped) == (18, 0)
    assert (tmp_path / "model" / "model.safetensors").is_file()
    again = finetune(tiny_model, *splits, Reading(workers=1), **settings_)
    assert again.metrics == result.metrics
    assert again.details["curves"] == result.details["curves"]


def test_an_interrupted_training_goes_on_and_a_finished_one_is_not_repeated(
    tiny_ucf, tiny_model, tmp_path, monkeypatch
):
    splits = load("ucf101", tiny_ucf, "train"), load("ucf101", tiny_ucf, "test")
    settings_ = {"epochs": 3, "passes": 1, "frames": 4, "positions": 1, "batch": 6}
    whole = finetune(tiny_model, *splits, Reading(), **settings_)
    steps = []

    def after_step(self):
        steps.append(len(steps))
        if len(steps) == 4:
            raise OSError("the power went")

    monkeypatch.setattr(Finetune, "after_step", after_step)
    kept = Reading(cache=tmp_path / "cache")
    with pytest.raises(OSError, match="power"):
        finetune(tiny_model, *splits, kept, **settings_)
    resumed = finetune(tiny_model, *splits, kept, **settings_)
    assert len(steps) == 4 + 4
    assert resumed.metrics == whole.metrics
    assert resumed.details["curves"] == whole.details["curves"]
    repeated = finetune(tiny_model, *splits, kept, **settings_)
    assert len(steps) == 8
    assert repeated.metrics == whole.metrics
    assert repeated.details["curves"] == whole.details["curves"]
    finetune(tiny_model, *splits, kept, **settings_, seed=1)
    assert len(steps) == 14
