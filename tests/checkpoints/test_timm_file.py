"""Encoders as files for timm: what is printed is run as a user of timm alone would."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from vit_toys import vit

from telltime.backbones.dense import DenseEncoder
from telltime.checkpoints.dense import load_dense, load_dense_model
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.timm_file import write_timm_file

SIZE = 64


def as_told(lines: tuple[str, ...]) -> Any:
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    return names["model"].eval()


@torch.no_grad()
def patches(model: Any, pictures: Tensor) -> Tensor:
    """A transformer's patch tokens ``[N, n, C]`` in timm's own way."""
    return model.forward_features(pictures)[:, model.num_prefix_tokens :]


@pytest.mark.parametrize(
    ("registers", "scaled", "patch"), [(0, False, 16), (4, True, 14)], ids=["plain", "registers-and-scales"]
)
def test_a_published_transformer_goes_to_timm_and_comes_back(
    tmp_path: Path, registers: int, scaled: bool, patch: int
) -> None:
    torch.save(vit(1, registers, scaled, patch, grid=4), tmp_path / "vit.pth")
    encoder = load_dense(tmp_path / "vit.pth")
    written = write_timm_file(encoder, tmp_path / "out.safetensors", {"source": "vit.pth"})
    pictures = torch.randn(2, 3, 4 * patch, 4 * patch, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = encoder(pictures).flatten(2).mT
    assert torch.allclose(patches(as_told(written.lines), pictures), ours, atol=1e-5)
    again = load_dense_model(tmp_path / "out.safetensors")
    with torch.no_grad():
        assert torch.equal(again.encoder(pictures).flatten(2).mT, ours)
    assert written.std == pytest.approx((0.229, 0.224, 0.225))


@pytest.mark.parametrize("deep", [False, True])
def test_the_embedded_network_goes_to_timm_and_comes_back(tmp_path: Path, deep: bool) -> None:
    encoder = DenseEncoder(deep=deep)
    written = write_timm_file(encoder, tmp_path / "lite.safetensors")
    assert len(written.lines) == 2
    model = as_told(written.lines)
    frames = torch.randint(0, 256, (1, 3, SIZE, SIZE)).to(torch.uint8)
    pictures = (frames / 255 - torch.tensor(written.mean).view(3, 1, 1)) / torch.tensor(written.std).view(3, 1, 1)
    with torch.no_grad():
        maps = [*model.forward_intermediates(pictures, intermediates_only=True), model.forward_features(pictures)]
        ours = encoder(encoder.prepare(frames))
        assert any(each.shape == ours.shape and torch.allclose(each, ours, atol=1e-5) for each in maps)
        assert torch.equal(load_dense(tmp_path / "lite.safetensors")(encoder.prepare(frames)), ours)


def test_positions_for_another_size_are_told_to_timm(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = DenseEncoder("vit_tiny_patch16_224", size=SIZE, pretrained=False)
    written = write_timm_file(encoder, tmp_path / "tiny.safetensors")
    assert "img_size=64" in written.lines[1]
    pictures = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        ours = encoder(pictures).flatten(2).mT
    assert torch.allclose(patches(as_told(written.lines), pictures), ours, atol=1e-5)


def test_only_safetensors_are_written(tmp_path: Path) -> None:
    torch.save(vit(), tmp_path / "vit.pth")
    with pytest.raises(CheckpointError, match=r"\.safetensors"):
        write_timm_file(load_dense(tmp_path / "vit.pth"), tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()
