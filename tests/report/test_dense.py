"""Segmentations on a page."""

import numpy as np
import pytest

from telltime.report.dense import label_colours, layers, painted_frames, sections
from telltime.report.page import Page


def shown(n=2, truth=True, score=0.5):
    labels = np.zeros((n, 6, 8), np.uint8)
    labels[:, :3] = 1
    frames = np.full((n, 3, 12, 16), 128, np.uint8)
    return {"id": "a/<b>", "frames": frames, "truth": labels if truth else None, "predicted": labels, "score": score}


def test_equal_labels_have_equal_colours_whatever_the_size():
    one = shown()
    painted = painted_frames(one["frames"], one["predicted"])
    assert painted.shape == one["frames"].shape
    assert painted.dtype == np.uint8
    assert len(np.unique(painted[0, :, :6].reshape(3, -1), axis=1).T) == 1
    assert (painted[:, :, 6:] == 70).all()  # the background, dim
    void = painted_frames(one["frames"], np.full((2, 5, 5), 255, np.uint8))
    assert (void > 180).all()


def test_colours_are_all_different():
    colours = label_colours()
    assert colours[255].tolist() == [255, 255, 255]
    assert len(np.unique(colours, axis=0)) == 256
    near = colours[1:12].astype(int)
    assert min(np.abs(a - b).sum() for i, a in enumerate(near) for b in near[:i]) > 60


@pytest.mark.parametrize("frames", [1, 4, 9])
def test_layers_of_a_record(frames):
    over, masks, predicted = layers(shown(frames))
    assert (over.caption, masks.caption, predicted.caption) == ("a/<b>", "masks", "predicted")
    assert predicted.detail == "50.0 %"
    _, alone = layers(shown(frames, truth=False, score=None))
    assert (alone.caption, alone.detail) == ("predicted", "")


def test_a_section_of_the_page():
    page = Page("t")
    sections(page, {"segmented": [shown(), shown(truth=False)]})
    html = page.html()
    assert "&lt;b&gt;" in html
    assert html.count("data:image/webp") == 5
    assert html.count('class="stack"') == 2
