"""TIME's batched views against Pillow, and its readers on files and frame folders."""

from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from numpy.random import RandomState
from PIL import Image, ImageEnhance

from telltime.clips.item import collate
from telltime.clips.loader import ClipLoader
from telltime.datasets.record import Record
from telltime.media.errors import TooShort, Unreadable
from telltime.media.video import Video
from telltime.media.write import write_video
from telltime.views.farneback import flow_labels
from telltime.views.rand_augment import OPERATIONS, SIGNED, argument, draw_operations, rand_augment_
from telltime.views.time import PRESETS, Values, augment, draw, draw_window, even_windows, partners, scaled_shape
from telltime.views.time_published import _ENHANCERS, pillow, rand_augmented
from telltime.views.time_reader import TimeReader, TimeTestReader

HEIGHT, WIDTH, FRAMES = 60, 84, 20
MOVING = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def pictures(count=FRAMES, seed=0, height=HEIGHT, width=WIDTH):
    """uint8 ``[T, H, W, 3]``: a smooth texture that drifts."""
    rng = RandomState(seed)
    small = Image.fromarray(rng.randint(20, 220, (10, 14, 3)).astype(np.uint8))
    still = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    return np.stack([np.roll(still, (t, 2 * t), (0, 1)) for t in range(count)])


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("footage") / "film.mkv"
    write_video(path, pictures(), codec="ffv1")
    return path


def changed(clip, name, told):
    """One operation on uint8 ``[T, H, W, 3]``, by the batched form."""
    planes = torch.from_numpy(clip).movedim(-1, 0)[:, None].float()
    rand_augment_(planes, torch.tensor([[OPERATIONS.index(name)]]), torch.tensor([[told]]))
    return planes[:, 0].movedim(0, -1).numpy()


def by_pillow(picture, name, told):
    if name not in MOVING:
        return pillow(picture, name, told)
    if name == "rotate":
        return picture.rotate(told, Image.Resampling.BILINEAR, fillcolor=(128,) * 3)
    matrix = [1.0, 0, 0, 0, 1.0, 0]
    place = {"shear_x": 1, "shear_y": 3, "translate_x": 2, "translate_y": 5}[name]
    matrix[place] = told * {"translate_x": picture.width, "translate_y": picture.height}.get(name, 1)
    kind = Image.Resampling.BILINEAR
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, kind, fillcolor=(128,) * 3)


@pytest.mark.parametrize("magnitude", [3.0, 10.0])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_pillows(name, magnitude):
    clip = pictures(2)
    clip[1] = clip[1] // 3 + 40  # frames of one clip are spread and equalised each by itself
    for negative in (False, True)[: 1 + (name in SIGNED)]:
        told = argument(name, magnitude, negative)
        theirs = np.stack([np.asarray(by_pillow(Image.fromarray(frame), name, told)) for frame in clip]).astype(float)
        apart = np.abs(changed(clip, name, told) - theirs)
        if name in MOVING:
            assert (apart > 1).mean() < 0.001  # where an edge falls on the rim of the picture
        else:
            assert apart.max() == 0


def test_odd_pictures():
    """Flat, two-valued, black and tiny ones, which leave nothing to be spread or smoothed."""
    for clip in (
        np.full((1, 9, 9, 3), 77, np.uint8),
        np.zeros((1, 9, 9, 3), np.uint8),
        (np.indices((1, 9, 9, 3)).sum(0) % 2 * 255).astype(np.uint8),
        pictures(1, 1, 2, 5),
        pictures(1, 1, 1, 1),
    ):
        for name in ("auto_contrast", "equalize", "sharpness", "posterize"):
            told = argument(name, 10.0)
            theirs = np.asarray(by_pillow(Image.fromarray(clip[0]), name, told))
            assert (changed(clip, name, told)[0] == theirs).all()


def test_enhancers_are_those_of_pillow():
    assert set(_ENHANCERS.values()) == {
        getattr(ImageEnhance, n) for n in ("Color", "Contrast", "Brightness", "Sharpness")
    }


def draws(rows, values=None, size=32):
    each = [draw(RandomState(seed), values or Values(p=1.0, p_flip=0.5, p_erase=0.5), size) for seed in range(rows)]
    return {key: torch.from_numpy(np.stack([one[key] for one in each])) for key in each[0]}


@pytest.mark.parametrize("chunk", [2, 64])
def test_a_batch_is_changed_as_each_clip_alone(chunk):
    clips = torch.from_numpy(np.stack([pictures(3, seed, 32, 32) for seed in range(6)])).movedim(-1, -3)
    before, told = clips.clone(), draws(6)
    ours = augment(clips, told, chunk)
    assert ours.shape == (6, 3, 3, 32, 32)
    assert torch.equal(clips, before)
    for row in range(6):
        alone = augment(clips[row : row + 1], {key: value[row : row + 1] for key, value in told.items()})
        assert (ours[row] - alone[0]).abs().max() < 1.01 / 255  # grids of points are rounded anew
    assert torch.equal((ours * 255).round() / 255, ours)


def test_all_frames_change_alike_unless_the_published_slip_is_asked_for():
    still = np.repeat(pictures(1), 4, axis=0)
    clips = torch.from_numpy(still[:, :32, :32]).movedim(-1, -3)[None].expand(12, -1, -1, -1, -1)
    ours = augment(clips, draws(12))
    assert torch.equal(ours, ours[:, :, :1].expand_as(ours))
    from random import Random

    published = [rand_augmented(still, Random(s), RandomState(s), PRESETS["paper"]) for s in range(20)]
    assert any((clip[0] != clip[1]).any() for clip in published)
    assert all((clip[1] == clip[2]).all() for clip in published)


def test_nothing_drawn_is_nothing_done():
    clips = torch.from_numpy(pictures(2, 0, 16, 16)).movedim(-1, -3)[None]
    for told in ({}, draws(1, PRESETS["none"], 16), {"start": torch.zeros(1)}):
        assert torch.equal(augment(clips, told), clips.movedim(2, 1) / 255)


def test_boxes_turn_grey_and_stay_inside():
    told = draws(30, Values(operations=0, p_erase=1.0))
    seen = augment(torch.zeros(30, 1, 3, 32, 32, dtype=torch.uint8), told)
    share = (seen > 0).float().mean((1, 2, 3, 4))
    assert (share > 0.01).all()
    assert (share < 0.4).all()
    assert seen.max() == 128 / 255


def test_mixing():
    clips = torch.from_numpy(np.stack([pictures(2, seed, 16, 16) for seed in range(5)])).movedim(-1, -3)
    told = draws(5, Values(operations=0, mixup=0.8), 16)
    assert (told["mix"] >= 0.5).all()
    assert len(told["mix"].unique()) == 5
    plain = augment(clips, {})
    seen = augment(clips, {"mix": told["mix"]})
    for row, share in enumerate(told["mix"].tolist()):
        expected = share * plain[row] + (1 - share) * partners(plain)[row]
        assert (seen[row] - expected).abs().max() < 1e-6
    assert "mix" not in draws(1)


def test_the_strongest_operations_and_milder_ones():
    strong = {argument(name, 10.0) for name in ("posterize", "solarize")}
    assert strong == {0.0}
    numbers, _ = draw_operations(RandomState(0), 400, 0.5, 9.0, 0.5)
    assert 0.4 < np.mean(np.array(numbers) < 0) < 0.6
    assert set(numbers) == set(range(-1, len(OPERATIONS)))


def test_crops_reach_every_place_but_not_as_published():
    for crop, last in (("full", 2), ("reference", 1)):
        places = {draw_window(RandomState(s), (1.5, 1.5), 6, 6, 4, crop)[1:] for s in range(200)}
        assert {max(place) for place in zip(*places, strict=True)} == {last}
    assert draw_window(RandomState(0), (1.0, 1.0), 4, 9, 4)[0] == (4, 9)


def test_test_crops_along_the_longer_side():
    assert scaled_shape(240, 320, 224) == (224, 298)
    assert even_windows(224, 298, 224, 3) == [(0, 0), (0, 37), (0, 74)]
    assert even_windows(298, 224, 224, 2) == [(0, 0), (74, 0)]
    assert even_windows(224, 299, 224, 1) == [(0, 38)]
    assert even_windows(224, 224, 224, 3) == [(0, 0)] * 3


# --- readers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", ["crop-first", "published"])
@pytest.mark.parametrize("size", [32, 96])
def test_items(film, pipeline, size):
    reader = TimeReader(size, 6, pipeline=pipeline)
    ForkingPickler.dumps(reader)
    with Video(film) as video:
        items = [reader(video, RandomState(seed)) for seed in (0, 0, 1)]
    assert items[0]["clips"].shape == (6, 3, size, size)
    assert items[0]["clips"].dtype == torch.uint8
    assert all(torch.equal(items[0][key], items[1][key]) for key in items[0])
    assert not torch.equal(items[0]["clips"], items[2]["clips"])
    assert augment(collate(items)["clips"], collate(items)).shape == (3, 3, 6, size, size)


def test_flow_only_where_it_is_asked_for(film):
    plain = TimeReader(32, 4, "paper", patch=8)
    with Video(film) as video:
        items = [plain(video, RandomState(seed)) for seed in range(4)]
        told = [TimeReader(32, 4, "paper", flow=True, patch=8)(video, RandomState(seed)) for seed in range(4)]
    assert "flow" not in items[0]
    seen = augment(collate(items)["clips"], collate(items))
    expected = flow_labels(seen.transpose(1, 2), (4, 4))
    for row, item in enumerate(told):
        assert set(item) == {"clips", "frames", "flow"}
        assert torch.equal(item["flow"], expected[row])
        assert torch.equal(item["clips"].movedim(1, 0) / 255, seen[row])


def test_frames_that_are_not_there(film, tmp_path):
    """Twenty frames, clips of thirty-two; then a folder of which most pictures are none."""
    with Video(film) as video:
        item = TimeReader(16, 32)(video, RandomState(0))
        assert item["frames"].max() == FRAMES - 1
        for reader in (TimeReader(16, 32, short="drop"), TimeTestReader(16, 32, short="drop")):
            with pytest.raises(TooShort, match="holds 20 frames, a clip has 32"):
                reader(video, RandomState(0))
    for number, picture in enumerate(pictures(8)):
        Image.fromarray(picture).save(tmp_path / f"{number:02d}.png")
    for number in (3, 4):
        (tmp_path / f"{number:02d}.png").write_bytes(b"no picture")
    with Video(tmp_path) as video:
        clips = TimeTestReader(16, 8, crops=1)(video)["clips"][0]
        assert torch.equal(clips[3], clips[2])
        assert not torch.equal(clips[5], clips[6])
    for path in tmp_path.iterdir():
        path.write_bytes(b"no picture")
    with Video(tmp_path) as video, pytest.raises(Unreadable):
        TimeReader(16, 4)(video, RandomState(0))


def test_test_clips(film):
    with Video(film) as video:
        clips = TimeTestReader(32, 4, views=2, crops=3, antialias=False)(video)["clips"]
        one = TimeTestReader(32, 4, crops=1, antialias=False)(video)["clips"]
        smooth = TimeTestReader(32, 4, crops=1)(video)["clips"]
    assert clips.shape == (6, 4, 3, 32, 32)
    assert one.shape == (1, 4, 3, 32, 32)
    assert not torch.equal(clips[0], clips[3])
    assert (one.float() - smooth.float()).abs().mean() < 8


def test_settings_that_mean_nothing():
    for wrong in (
        {"size": 0},
        {"crop": "odd"},
        {"values": "fancy"},
        {"short": "loop"},
        {"pipeline": "odd"},
        {"flow": True, "size": 30},
        {"flow": True, "values": Values(p_flip=0.5)},
        {"flow": True, "values": Values(mixup=0.5)},
    ):
        with pytest.raises(ValueError, match=r"at least 1|is one of|whole patches|mixup are 0"):
            TimeReader(**wrong)
    for wrong in ({"views": 0}, {"scale": 0.5}, {"short": "loop"}):
        with pytest.raises(ValueError, match=r"at least 1|is one of"):
            TimeTestReader(**wrong)
    for wrong in ({"p": 2}, {"operations": -1}, {"jitter": (0.5, 1)}, {"erase": (0.5, 2)}, {"erase_ratio": (3, 1)}):
        with pytest.raises(ValueError, match=r"probability|at least 0|range"):
            Values(**wrong)


def test_clips_whose_label_tells_sides_are_never_mirrored(film):
    records = [Record(str(n), film, n % 2, mirrors=n % 2 == 0) for n in range(12)]
    reader = TimeReader(16, 2, Values(operations=0, p_flip=1.0))
    (batch,) = ClipLoader(records, reader, 12, seed=0).epoch(0)
    assert torch.equal(batch["flip"], batch["label"] == 0)
