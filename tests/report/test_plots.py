"""Plots follow the reader's colours, keep their text and draw what they were given."""

import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from telltime.report import plots
from telltime.report.palette import DARK, LIGHT, STAND_INS
from telltime.report.strips import encode

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return ["".join(t.itertext()).strip() for t in ElementTree.fromstring(svg).iter(f"{SVG}text")]


EVERY = {
    "curves": lambda: plots.curves({"loss": np.linspace(3, 1, 200).tolist(), "other": ([1, 50, 100], [2, 1, 0.5])}),
    "log": lambda: plots.curves({"loss": [100, 1, 0.01]}, log=True, y="loss"),
    "bars": lambda: plots.bars({f"class {i}": i / 60 for i in range(60)}),
    "compare": lambda: plots.compare({"TCLR": {"R@1": 0.5, "top1": 0.6}, "random": {"R@1": 0.1}}, chance=0.25),
    "confusion": lambda: plots.confusion(np.eye(5) * 3, list("abcde")),
    "many classes": lambda: plots.confusion(np.eye(120), [str(i) for i in range(120)]),
    "nothing": lambda: plots.curves({}),
    "no bar": lambda: plots.bars({}),
}


@pytest.mark.parametrize("name", EVERY)
def test_colours_are_names_of_the_page(name: str) -> None:
    svg = EVERY[name]()
    ElementTree.fromstring(svg)
    assert svg.startswith("<svg role=")
    assert set(re.findall(r"#[0-9a-fA-F]{6}\b", svg)) <= {"#ffffff"}
    assert not [s for s in STAND_INS.values() if s in svg]
    assert set(re.findall(r"var\(--(\w+)\)", svg)) <= set(LIGHT)
    assert "black" not in svg
    assert "<metadata" not in svg
    assert not re.search(r'<svg[^>]* width="', svg)
    assert svg == EVERY[name]()


def test_light_and_dark_name_the_same_colours() -> None:
    assert set(LIGHT) == set(DARK)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("name", "least"), [("ink", 10), ("muted", 4.5), ("right", 4), ("wrong", 4), *((f"s{i}", 3) for i in range(6))]
)
def test_colours_can_be_read_on_their_ground(colours: dict[str, str], name: str, least: float) -> None:
    for ground in ("ground", "card"):
        low, high = sorted((_luminance(colours[name]), _luminance(colours[ground])))
        assert (high + 0.05) / (low + 0.05) >= least


def test_bars_are_ranked_and_the_gap_is_said() -> None:
    shown = texts(plots.bars({f"c{i:02d}": i / 100 for i in range(50)}, most=10))
    names = [t for t in shown if re.fullmatch(r"c\d\d", t)]
    assert names == ["c49", "c48", "c47", "c46", "c45", "c04", "c03", "c02", "c01", "c00"]
    assert any("40 more between" in t for t in shown)
    assert "mean 24.5" in shown


def test_values_that_are_no_shares_are_no_percent() -> None:
    assert "100 %" not in texts(plots.bars({"a": 12.5, "b": 3.25}))
    assert "12.5" in texts(plots.bars({"a": 12.5, "b": 3.25}))


def test_odd_names_stay_as_they_are() -> None:
    shown = texts(plots.bars({"$x_1$": 0.5, "<b>&": 0.25, "a" * 60: 0.1}))
    assert "$x_1$" in shown
    assert "<b>&" in shown
    assert any("…" in t and len(t) == 26 for t in shown)


def test_gaps_and_single_points_draw() -> None:
    svg = plots.curves({"a": [1, float("nan"), 2], "b": [float("nan")] * 3, "c": [1.0], "d": []})
    assert {"a", "c"} <= set(texts(svg))


def test_confusion_counts_and_shades() -> None:
    svg = plots.confusion([[3, 1], [0, 0]], ["yes", "no"])
    shown = texts(svg)
    assert {"3", "1", "yes", "no", "true", "predicted"} <= set(shown)
    data = base64.b64decode(re.search(r'base64,([^"]+)"', svg)[1])
    alpha = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[..., 3].astype(float)
    alpha = alpha if alpha[0, 0] > alpha[0, 1] else alpha[::-1]
    assert alpha[0, 0] > alpha[0, 1] > 0
    assert alpha[1].tolist() == [0, 0]
    with pytest.raises(ValueError, match="square"):
        plots.confusion(np.eye(3), ["a", "b"])


@pytest.mark.parametrize(("count", "most", "shown"), [(1, 4, 1), (3, 4, 3), (16, 4, 4), (5, 1, 1)])
def test_strips_show_frames_from_first_to_last(count: int, most: int, shown: int) -> None:
    frames = np.zeros((count, 3, 20, 30), np.uint8)
    frames[:] = (np.arange(count) * (255 // max(1, count - 1)))[:, None, None, None]
    uri = encode(frames, most=most, gap=2)
    assert uri.startswith("data:image/webp;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
    assert picture.size == (shown * 30 + (shown - 1) * 2, 20)
    if shown > 1:
        values = [picture.getpixel((i * 32 + 15, 10))[0] for i in range(shown)]
        assert values == sorted(values)
        assert values[0] < 10
        assert values[-1] > 240


def test_strips_keep_colour_order_and_shrink_large_frames() -> None:
    frames = np.zeros((2, 3, 720, 1280), np.uint8)
    frames[:, 0] = 255
    picture = Image.open(io.BytesIO(base64.b64decode(encode(frames, height=50).partition(",")[2]))).convert("RGB")
    assert picture.height == 100
    red, green, blue = picture.getpixel((20, 50))
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((2, 3, 8, 8)),
        np.zeros((0, 3, 8, 8), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
    ],
)
def test_strips_refuse_other_arrays(frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"uint8 frames \[n, 3, H, W\]"):
        encode(frames)


def test_strips_take_tensors() -> None:
    import torch

    frames = torch.zeros(2, 3, 8, 8, dtype=torch.uint8).to(memory_format=torch.channels_last)
    assert encode(frames) == encode(frames.numpy())
