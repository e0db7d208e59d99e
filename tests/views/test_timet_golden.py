"""TimeT's transforms against the published ones on Pillow images: value for value."""

from random import Random

import numpy as np
import pytest

from telltime.views import timet_published as published
from telltime.views.timet import Values, draw_box, draw_jitter, short_side

NOTHING = {"order": np.full(4, -1), "factors": np.zeros(4), "grey": np.array(False)}


@pytest.fixture(scope="module")
def case(golden):
    file = golden.npz("timet_transforms.npz")
    frames, height, width, _ = file["config"].tolist()
    file["frames"] = golden.timet_inputs.frames_u8("timet.transforms", frames, height, width, int(file["seed"]))
    return file


def test_resizing(case):
    size = int(case["config"][3])
    assert (published.resize_short(case["frames"], size) == case["resize_short"]).all()
    assert (published.resize(case["frames"], (size, size)) == case["resize_pair"]).all()
    assert (published.resize(case["annotations"], (size, size), nearest=True) == case["eval_ann"][:, 0]).all()
    means = published.normalised(published.resize(case["frames"], (size, size))).mean((0, 2, 3)).numpy()
    np.testing.assert_allclose(means, case["eval_clip_mean"], atol=1e-6)


def test_boxes(case):
    rng, (_, height, width, _) = Random(int(case["seed"])), case["config"].tolist()
    values = Values()
    drawn = [draw_box(rng, height, width, values.scale, values.ratio) for _ in case["rrc_params"]]
    assert drawn == [tuple(box) for box in case["rrc_params"].tolist()]


@pytest.mark.parametrize("which", range(4))
def test_only_the_last_operation_of_the_jitter_counts(case, which):
    order, factors = draw_jitter(Random(int(case["seed"]) + 10 + which), Values())
    draws = NOTHING | {"order": order, "factors": factors}
    assert (published.coloured(case["frames"][:1], draws)[0] == case[f"jitter{which}"]).all()


def test_blur_and_grey(case):
    rng = Random(int(case["seed"]) + 20)
    rng.random()  # whether to blur
    radii = np.array([rng.uniform(*Values().blur) for _ in case["blur"]])
    assert (published.blurred(case["frames"][: len(radii)], radii) == case["blur"]).all()
    assert (published.coloured(case["frames"][:1], NOTHING | {"grey": np.array(True)})[0] == case["gray"]).all()


def test_crops_of_clips_and_of_their_masks(case):
    frames, height, width, size = case["config"].tolist()
    rng, values = Random(int(case["seed"]) + 1), Values()
    box = draw_box(rng, *short_side(height, width, size), values.scale, values.ratio)
    flip = rng.random() < values.p_flip
    draws = NOTHING | {"blur": np.zeros(frames), "box": np.array(box), "flip": np.array(flip)}
    seen = published.normalised(published.transform(case["frames"], draws, size)).numpy()
    np.testing.assert_allclose(seen, case["train_clip"], atol=1e-6)
    assert (published.transform_labels(case["annotations"], draws, size) == case["train_ann"][:, 0]).all()
    draws["flip"] = np.array(False)  # as published, clips without masks are never mirrored
    seen = published.normalised(published.transform(case["frames"], draws, size)).numpy()
    np.testing.assert_allclose(seen, case["train_clip_without_annotations"], atol=1e-6)
