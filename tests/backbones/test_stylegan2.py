"""The generator against its definition: kernels modulated sample by sample, resampling by zeros and filters."""

import math

import pytest
import torch
import torch.nn.functional as F

from telltime.backbones.stylegan2 import StyleGAN2, channels_of


@pytest.fixture(scope="module")
def made():
    torch.manual_seed(3)
    network = StyleGAN2(16, style_dim=12, mapping=3, channels=[10, 8, 6])
    for key, value in network.named_parameters():
        if key.endswith(("noise.weight", "bias")):
            value.data.normal_()
    return network.double().eval()


def resampled(maps, kernel, up, before, after):
    """Zeros between, borders, and the filter, pixel by pixel of its definition."""
    n, c, h, w = maps.shape
    spread = maps.new_zeros(n, c, h * up, w * up)
    spread[:, :, ::up, ::up] = maps
    spread = F.pad(spread, (before, after, before, after))
    smooth = F.conv2d(spread.flatten(0, 1)[:, None], kernel.flip(0, 1)[None, None])
    return smooth[:, 0].unflatten(0, (n, c))


def modulated(state, name, maps, style, demodulate=True, up=False):
    """One kernel for each sample, one sample at a time."""
    weight, outs = state[f"{name}.weight"][0], []
    linear = state[f"{name}.modulation.weight"] / math.sqrt(style.shape[1])
    for one, its in zip(maps, style, strict=True):
        by = linear @ its + state[f"{name}.modulation.bias"]
        kernel = weight / math.sqrt(weight[0].numel()) * by[None, :, None, None]
        if demodulate:
            kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            wide = F.conv_transpose2d(one[None], kernel.transpose(0, 1), stride=2)
            outs.append(resampled(wide, state[f"{name}.blur.kernel"], 1, 1, 1))
        else:
            outs.append(F.conv2d(one[None], kernel, padding=kernel.shape[-1] // 2))
    return torch.cat(outs)


def styled(state, name, maps, style, noise, up=False):
    maps = modulated(state, f"{name}.conv", maps, style, up=up) + state[f"{name}.noise.weight"] * noise
    return F.leaky_relu(maps + state[f"{name}.activate.bias"].view(1, -1, 1, 1), 0.2) * 2**0.5


def drawn(state, latents):
    noise = [state[f"noises.noise_{i}"] for i in range(5)]
    maps = state["input.input"].repeat(len(latents), 1, 1, 1)
    maps = styled(state, "conv1", maps, latents[:, 0], noise[0])
    picture = modulated(state, "to_rgb1.conv", maps, latents[:, 1], False) + state["to_rgb1.bias"]
    for level in range(2):
        maps = styled(state, f"convs.{2 * level}", maps, latents[:, 2 * level + 1], noise[2 * level + 1], up=True)
        maps = styled(state, f"convs.{2 * level + 1}", maps, latents[:, 2 * level + 2], noise[2 * level + 2])
        colours = modulated(state, f"to_rgbs.{level}.conv", maps, latents[:, 2 * level + 3], False)
        below = resampled(picture, state[f"to_rgbs.{level}.upsample.kernel"], 2, 2, 1)
        picture = colours + state[f"to_rgbs.{level}.bias"] + below
    return picture


def test_pictures_are_those_of_the_definition(made):
    latents = torch.randn(3, made.styles, 12, dtype=torch.double)
    ours = made(latents)
    assert ours.shape == (3, 3, 16, 16)
    torch.testing.assert_close(ours, drawn(made.state_dict(), latents), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(made(latents[1:2]), ours[1:2])


def test_styles_come_from_noise_of_any_length(made):
    noise = torch.randn(2, 12, dtype=torch.double)
    latents = made.latents(noise)
    assert latents.shape == (2, 6, 12)
    torch.testing.assert_close(latents, made.latents(3 * noise), rtol=1e-6, atol=1e-6)
    rows = noise / noise.square().mean(1, keepdim=True).sqrt()
    for layer in (1, 2, 3):
        weight, bias = made.style[layer].weight, made.style[layer].bias
        rows = 2**0.5 * F.leaky_relu(rows @ weight.T * 0.01 / 12**0.5 + 0.01 * bias, 0.2)
    torch.testing.assert_close(latents[:, 0], rows, rtol=1e-5, atol=1e-6)


def test_the_mean_style_is_drawn_from_its_seed(made):
    torch.testing.assert_close(made.mean_style(64, 1), made.mean_style(64, 1))
    assert not torch.allclose(made.mean_style(64, 1), made.mean_style(64, 2))


def test_its_size_is_that_of_the_published_one():
    with torch.device("meta"):
        network = StyleGAN2(1024)
    assert network.styles == 18
    assert network.channels == [512, 512, 512, 512, 512, 256, 128, 64, 32]
    keys = network.state_dict()
    assert list(keys["noises.noise_16"].shape) == [1, 1, 1024, 1024]
    assert "noises.noise_17" not in keys
    assert list(keys["convs.15.conv.weight"].shape) == [1, 32, 32, 3, 3]
    assert {"style.8.bias", "to_rgbs.7.upsample.kernel", "convs.14.conv.blur.kernel", "to_rgb1.bias"} <= set(keys)
    assert "convs.15.conv.blur.kernel" not in keys


def test_sizes_that_cannot_be_are_refused(made):
    with pytest.raises(ValueError, match="power of two"):
        StyleGAN2(100)
    with pytest.raises(ValueError, match="2 resolutions"):
        StyleGAN2(8, channels=[4])
    with pytest.raises(ValueError, match=r"\[N, 6, 12\]"):
        made(torch.zeros(1, 5, 12))
    assert channels_of(64) == 512
    assert channels_of(1024, 1) == 16
