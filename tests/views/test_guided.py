"""The guided filter against its definition, window by window."""

import pytest
import torch

from telltime.views.guided import guided


def by_definition(picture: torch.Tensor, scores: torch.Tensor, radius: int, epsilon: float) -> torch.Tensor:
    def windows(maps: torch.Tensor) -> torch.Tensor:
        wide = torch.nn.functional.pad(maps[None], (radius,) * 4, mode="replicate")[0]
        return wide.unfold(1, 2 * radius + 1, 1).unfold(2, 2 * radius + 1, 1).flatten(3)

    colours, values = windows(picture), windows(scores)
    height, width = picture.shape[-2:]
    slopes, rests = torch.empty(3, height, width), torch.empty(1, height, width)
    for y in range(height):
        for x in range(width):
            c, v = colours[:, y, x], values[0, y, x]
            spread = (c - c.mean(1, keepdim=True)) @ (c - c.mean(1, keepdim=True)).mT / c.shape[1]
            shared = (c * v).mean(1) - c.mean(1) * v.mean()
            slopes[:, y, x] = torch.linalg.solve(spread + epsilon * torch.eye(3), shared)
            rests[:, y, x] = v.mean() - slopes[:, y, x] @ c.mean(1)
    return (windows(slopes).mean(-1) * picture).sum(0, keepdim=True) + windows(rests).mean(-1)


def test_it_is_what_its_definition_says() -> None:
    torch.manual_seed(0)
    picture, scores = torch.rand(2, 3, 9, 12), torch.randn(2, 2, 9, 12)
    found = guided(picture, scores, 2, 1e-2)
    for n in range(2):
        for k in range(2):
            expected = by_definition(picture[n], scores[n, k : k + 1], 2, 1e-2)
            torch.testing.assert_close(found[n, k : k + 1], expected, atol=1e-3, rtol=1e-3)


def test_a_blurred_edge_takes_the_place_of_the_pictures() -> None:
    picture = torch.zeros(1, 3, 40, 40)
    picture[..., 23:] = 0.6
    ramp = ((torch.arange(40.0) - 20) / 6).clamp(-1, 1).expand(1, 1, 40, 40)
    assert ((guided(picture, ramp, 8) > 0)[0, 0] == (picture[0, 0] > 0)).all()


def test_the_guide_is_as_large_as_the_scores() -> None:
    with pytest.raises(ValueError, match="as large"):
        guided(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 4, 4), 2)
