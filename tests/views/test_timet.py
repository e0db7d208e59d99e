"""TimeT's batched views against the exact ones, and its reader on files and frame folders."""

from multiprocessing.reduction import ForkingPickler
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from telltime.clips.item import collate
from telltime.media.errors import Unreadable
from telltime.media.video import Video
from telltime.media.write import write_video
from telltime.views import timet_published
from telltime.views.timet import Values, augment, blur_, draw
from telltime.views.timet_reader import TimeTReader, cut_labels, frame_box

HEIGHT, WIDTH, FRAMES = 60, 84, 12


def pictures(count=FRAMES, seed=0):
    """uint8 ``[T, H, W, 3]``: a smooth texture that drifts."""
    rng = np.random.default_rng(seed)
    still = Image.fromarray(rng.integers(0, 256, (10, 14, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT), Image.BILINEAR)
    return np.stack([np.roll(np.asarray(still), (t, 2 * t), (0, 1)) for t in range(count)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of frames, and the same frames as a video file without loss."""
    root = tmp_path_factory.mktemp("footage")
    (root / "frames").mkdir()
    for number, picture in enumerate(pictures()):
        Image.fromarray(picture).save(root / "frames" / f"{number:05d}.png")
    write_video(root / "film.mkv", pictures(), codec="ffv1")
    return root


def drawn(seed, values=None, frames=3, size=32):
    return draw(Random(seed), values or Values(p_jitter=1, jitter="all", p_blur=1), frames, HEIGHT, WIDTH, size)


def stacked(draws):
    return {key: torch.from_numpy(np.stack([each[key] for each in draws])) for key in draws[0]}


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_a_batch_is_coloured_as_each_clip_alone_by_pillow(chunk):
    draws = [drawn(seed) for seed in range(5)]
    clips = torch.from_numpy(np.stack([pictures(3, seed) for seed in range(5)])).movedim(-1, -3)
    before = clips.clone()
    ours = augment(clips, stacked(draws) | {"blur": torch.zeros(5, 3), "grey": torch.arange(5) % 2 == 0}, chunk)
    assert torch.equal(clips, before)
    assert ours.dtype == torch.uint8
    for number, each in enumerate(draws):
        exact = timet_published.coloured(pictures(3, number), each | {"grey": np.array(number % 2 == 0)})
        exact = exact[:, :, ::-1] if each["flip"] else exact
        assert (ours[number].movedim(-3, -1).numpy() == exact).all()


@pytest.mark.parametrize("deviation", [0.3, 1.0, 2.0])
def test_the_blur_is_pillows_within_3(deviation):
    frames = pictures(2)
    planes = torch.from_numpy(frames)[None].movedim(-1, 0).float()
    ours = blur_(planes, torch.tensor([[deviation, 0.0]]))[:, 0].movedim(0, -1).numpy()
    theirs = np.asarray(Image.fromarray(frames[0]).filter(ImageFilter.GaussianBlur(deviation)))
    assert np.abs(ours[0] - theirs).max() <= 3
    assert (ours[1] == frames[1]).all()


def test_the_published_jitter_does_one_thing_and_the_mended_one_all_four():
    for jitter, done in (("published", 1), ("all", 4)):
        values = Values(p_jitter=1, jitter=jitter)
        assert {int((drawn(seed, values)["order"] >= 0).sum()) for seed in range(20)} == {done}
    nothing = Values(p_jitter=0, p_blur=0, p_grey=0, p_flip=0)
    clips = torch.from_numpy(pictures(3))[None].movedim(-1, -3)
    assert torch.equal(augment(clips, stacked([drawn(0, nothing)])), clips)


def test_clips_are_mirrored_with_or_without_masks():
    assert 60 < sum(bool(drawn(seed)["flip"]) for seed in range(200)) < 140


def test_the_fast_crop_is_close_to_the_published(folder):
    still = Values(p_jitter=0, p_blur=0, p_grey=0, p_flip=0)
    reader = {name: TimeTReader(32, 3, values=still, pipeline=name) for name in ("crop-first", "published")}
    for seed in range(4):
        with Video(folder / "frames") as video:
            fast, exact = (reader[name](video, np.random.RandomState(seed)) for name in reader)
        assert torch.equal(fast["frames"], exact["frames"])
        apart = (fast["clips"].float() - exact["clips"].float()).abs()
        assert apart.mean() < 6  # the published way resizes twice, and rounds the crop to pixels of the smaller frame


def test_files_and_frame_folders_give_the_same_clips(folder):
    reader = TimeTReader(size=32, frames=4, choice="regular", step=2)
    items = []
    for name in ("frames", "film.mkv"):
        with Video(folder / name) as video:
            items.append(reader(video, np.random.RandomState(3)))
    apart = (items[0]["clips"].float() - items[1]["clips"].float()).abs()  # the file holds no RGB
    assert apart.mean() < 3
    for key in set(items[0]) - {"clips"}:
        assert torch.equal(items[0][key], items[1][key])


def test_items_depend_on_their_seed_alone_and_make_batches(folder):
    reader = ForkingPickler.loads(bytes(ForkingPickler.dumps(TimeTReader(size=24, values="clean"))))
    with Video(folder / "frames") as video:
        items = [reader(video, np.random.RandomState(seed)) for seed in (1, 2, 1)]
    assert all(torch.equal(items[0][key], items[2][key]) for key in items[0])
    assert not torch.equal(items[0]["clips"], items[1]["clips"])
    batch = collate(items)
    assert batch["clips"].shape == (3, 4, 3, 24, 24)
    assert augment(batch.pop("clips"), batch).shape == (3, 4, 3, 24, 24)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("choice", ["uniform", "dense", "regular"])
def test_videos_shorter_than_the_clip(tmp_path, count, choice):
    for number, picture in enumerate(pictures(count)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    with Video(tmp_path) as video:
        item = TimeTReader(size=16, frames=4, choice=choice)(video, np.random.RandomState(0))
    assert item["clips"].shape == (4, 3, 16, 16)
    assert item["frames"].max() == count - 1 or choice == "uniform"


@pytest.mark.parametrize("pipeline", ["crop-first", "published"])
def test_a_frame_that_does_not_decode_is_replaced_by_its_neighbour(tmp_path, pipeline):
    for number, picture in enumerate(pictures(4)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    still = Values(p_jitter=0, p_blur=0, p_grey=0)
    with Video(tmp_path) as video:
        item = TimeTReader(16, 4, "dense", values=still, pipeline=pipeline)(video, np.random.RandomState(0))
    assert torch.equal(item["clips"][2], item["clips"][1])
    assert not torch.equal(item["clips"][3], item["clips"][1])
    for number in (1, 3):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    reader = TimeTReader(16, 1, "dense", pipeline=pipeline)
    broken = next(seed for seed in range(50) if reader.wanted(4, Random(np.random.RandomState(seed).bytes(16)))[0] > 0)
    with Video(tmp_path) as video, pytest.raises(Unreadable, match="none of the clip's frames"):
        reader(video, np.random.RandomState(broken))


def test_a_span_keeps_the_frames_together():
    reader = TimeTReader(frames=4, span=10)
    for seed in range(50):
        chosen = reader.wanted(100, Random(seed))
        assert chosen[-1] - chosen[0] < 10
    assert reader.wanted(3, Random(0)).max() < 3
    assert len({int(reader.wanted(100, Random(seed))[0]) for seed in range(50)}) > 20


def test_labels_get_the_crop_of_their_frames():
    labels = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.uint8)
    labels[:, 10:40, 20:60] = 7
    each = drawn(5)
    box = frame_box(each["box"], HEIGHT, WIDTH, 32)
    frames = np.repeat(labels.numpy()[..., None] * 30, 3, -1)
    exact = timet_published.transform(frames, each | {"order": np.full(4, -1), "grey": False, "blur": np.zeros(2)}, 32)
    cut = cut_labels(labels, box, bool(each["flip"]), 32).numpy()
    assert set(np.unique(cut)) <= {0, 7}
    assert ((cut > 0) == (exact[..., 0] > 105)).mean() > 0.95


def test_settings_that_mean_nothing():
    for wrong in ({"size": 0}, {"choice": "full"}, {"span": 0}, {"values": "fancy"}, {"pipeline": "odd"}):
        with pytest.raises(ValueError, match=r"at least 1|is one of"):
            TimeTReader(**wrong)
    for wrong in ({"p_flip": 2}, {"hue": 0.7}, {"scale": (0.5, 0.2)}, {"ratio": (0, 1)}, {"jitter": "some"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Values(**wrong)


def test_a_still_picture_passes_by(tmp_path):
    Image.fromarray(pictures(1)[0]).save(tmp_path / "0.png")
    calm = {"p_jitter": 0, "p_blur": 0, "p_grey": 0, "p_flip": 0, "scale": (0.2, 0.3)}
    moved = []
    for drift in (0.0, 0.5):
        reader = TimeTReader(32, 4, values=Values(**calm, drift=drift))
        with Video(tmp_path) as video:
            clips = reader(video, np.random.RandomState(1))["clips"].float()
        moved.append(float((clips[1:] - clips[:-1]).abs().mean()))
    assert moved[0] == 0
    assert moved[1] > 1
    for seed in range(50):
        each = draw(Random(seed), Values(drift=2.0), 4, HEIGHT, WIDTH, 32)
        top, left, height, width = each["last"].tolist()
        assert (each["last"][2:] == each["box"][2:]).all()
        assert min(top, left) >= 0
        assert top + height <= 32
        assert left + width <= int(32 * WIDTH / HEIGHT)
    with pytest.raises(ValueError, match="do not wander"):
        TimeTReader(values="stills", pipeline="published")


def test_picture_files_are_clips_too(tmp_path):
    Image.fromarray(pictures(1)[0]).save(tmp_path / "photo.jpg")
    with Video(tmp_path / "photo.jpg") as video:
        item = TimeTReader(32, 4, "dense", values="stills")(video, np.random.RandomState(0))
    assert item["clips"].shape == (4, 3, 32, 32)
    assert (item["frames"] == 0).all()
