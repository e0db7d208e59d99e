"""``telltime edit-time`` with a generator of 16 pixels and a clock on the embedded tower."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from telltime.backbones.image_tower import ImageTower
from telltime.backbones.stylegan2 import StyleGAN2
from telltime.backbones.time_heads import CosineHead
from telltime.checkpoints.clock import Clock
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.generator import load_generator
from telltime.cli.edit_time import clock_hour
from telltime.cli.main import main


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = StyleGAN2(16, style_dim=8, mapping=2, channels=[8, 8, 6])
        state = network.state_dict() | {"latent_avg": torch.zeros(8)}
        torch.save({"g_ema": state, "args": {"size": 16}}, folder / "gan.pt")
        tower = ImageTower(size=32, stages=[0], cells=[1])
        Clock(CosineHead(24, tower.dim, 8), tower).save(folder / "clock")
    return folder


def command(desk, out, *more):
    base = ["edit-time", str(desk / "gan.pt"), "--model", str(desk / "clock"), "--out", str(out), "--steps", "12"]
    return [*base, *more]


def test_a_strip_of_the_day_with_latents_and_a_result(desk, tmp_path, capsys):
    assert main(command(desk, tmp_path / "o", "--hours", "19:30", "6")) == 0
    assert "strip.png" in capsys.readouterr().out
    held = load_file(tmp_path / "o" / "latents.safetensors")
    assert held["latents"].shape == (2, 6, 8)
    assert held["hours"].tolist() == [6.0, 19.5]
    result = json.loads((tmp_path / "o" / "result.json").read_text())
    assert result["task"] == "edit-time"
    assert {"mae_hours_before", "mae_hours_after", "nll_last"} <= set(result["metrics"])
    assert sorted(path.name for path in (tmp_path / "o" / "pictures").iterdir()) == [
        "00-start.png",
        "01-0600.png",
        "02-1930.png",
    ]
    assert Image.open(tmp_path / "o" / "strip.png").size[0] > 3 * 16
    assert (tmp_path / "o" / "report.html").stat().st_size > 1000
    redrawn = load_generator(desk / "gan.pt").network(held["latents"][:1])
    shown = torch.from_numpy(__import__("numpy").array(Image.open(tmp_path / "o" / "pictures" / "01-0600.png")))
    assert (shown.permute(2, 0, 1) - ((redrawn[0].clamp(-1, 1) + 1) * 127.5)).abs().max() < 1.5


def test_a_seed_is_the_same_picture_and_a_latent_may_be_gone_on_from(desk, tmp_path, capsys):
    for name in ("a", "b"):
        assert main(command(desk, tmp_path / name, "--hours", "3", "--seed", "5", "--json")) == 0
        assert json.loads(capsys.readouterr().out)["metrics"]
    one, two = (load_file(tmp_path / name / "latents.safetensors") for name in "ab")
    assert torch.equal(one["latents"], two["latents"])
    again = command(desk, tmp_path / "c", "--hours", "3", "--start", str(tmp_path / "a" / "latents.safetensors"))
    assert main([*again, "--weight", "nll=0", "--weight", "ticl=1", "--patience", "3", "--truncation", "0.5"]) == 0
    assert torch.equal(load_file(tmp_path / "c" / "latents.safetensors")["start"], one["start"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["edit-time", "--hours", "3", "--out", "o"], 2, "editing needs a generator"),
        (["edit-time", "nowhere.pt", "--hours", "3", "--out", "o"], 1, "sg2-lhq-1024.pt"),
        (["edit-time", "x.pt", "--hours", "25", "--out", "o"], 2, "25 is no hour of the day"),
        (["edit-time", "x.pt", "--hours", "3", "4", "--words", "night", "--out", "o"], 2, "one for each of the 2"),
        (["edit-time", "x.pt", "--hours", "3", "--words", "night", "--out", "o"], 2, "--clip NAME"),
        (["edit-time", "x.pt", "--hours", "3", "--weight", "sun=1", "--out", "o"], 2, "sun=1 is no weight"),
        (["edit_time"], 2, "did you mean edit-time"),
    ],
)
def test_what_is_missing_is_said(arguments, code, said, capsys):
    assert main(arguments) == code
    assert said in capsys.readouterr().err


def test_other_files_are_refused_by_name(desk, tmp_path, capsys):
    torch.save({"state_dict": {"conv1.weight": torch.zeros(3)}}, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"net\.pt.*'g_ema'"):
        load_generator(tmp_path / "net.pt")
    torch.save({"g_ema": {"conv1.weight": torch.zeros(3)}}, tmp_path / "keys.pt")
    with pytest.raises(CheckpointError, match="not those of a StyleGAN2"):
        load_generator(tmp_path / "keys.pt")
    whole = torch.load(desk / "gan.pt", weights_only=True)["g_ema"]
    torch.save({"g_ema": {k: v for k, v in whole.items() if k != "convs.1.activate.bias"}}, tmp_path / "less.pt")
    with pytest.raises(CheckpointError, match=r"lacks convs\.1\.activate\.bias"):
        load_generator(tmp_path / "less.pt")
    assert main(command(desk, tmp_path / "o", "--hours", "3", "--start", str(tmp_path / "net.pt"))) == 1
    assert "no latents can be read" in capsys.readouterr().err


def test_a_file_without_noise_and_filters_does(desk, tmp_path):
    whole = torch.load(desk / "gan.pt", weights_only=True)["g_ema"]
    kept = {key: value for key, value in whole.items() if "noise_" not in key and "kernel" not in key}
    torch.save({"g_ema": kept}, tmp_path / "converted.pt")
    made, original = load_generator(tmp_path / "converted.pt"), load_generator(desk / "gan.pt")
    assert original.network.channels == [8, 8, 6]
    latents = torch.randn(1, 6, 8)
    torch.testing.assert_close(made.network(latents), original.network(latents))  # noise has no strength here
    assert original.mean is not None


@pytest.mark.parametrize(("text", "hour"), [("6", 6.0), ("19:30", 19.5), ("0", 0.0), ("23.75", 23.75)])
def test_hours_are_read_as_people_write_them(text, hour):
    assert clock_hour(text) == hour


def test_words_are_asked_of_the_clip_that_is_named(desk, tmp_path, monkeypatch, capsys):
    from telltime.checkpoints import clip_pair

    asked = []

    class Pair(clip_pair.ClipPair):
        def __init__(self):
            pass

        def image(self, pictures):
            return pictures.mean((2, 3)) + 0.1

        def templated(self, words):
            asked.append(words)
            return torch.tensor([[len(words), 1.0, 2.0]])

    monkeypatch.setattr(clip_pair, "load_clip_pair", lambda name, device: Pair())
    assert main(command(desk, tmp_path / "o", "--hours", "12", "23", "--clip", "some/clip", "--json")) == 0
    assert asked == ["daytime", "noon", "night"]
    result = json.loads(capsys.readouterr().out)
    assert "directional_last" in result["metrics"]
    assert result["model"]["clip"] == "some/clip"
