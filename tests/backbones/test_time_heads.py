import numpy as np
import pytest
import torch

from telltime.backbones.time_encoder import TimeEncoder
from telltime.backbones.time_heads import HEADS, spread
from telltime.metrics import circular

SMALL = {"cosine": {"hidden": 8}, "soft": {"hidden": 5}, "mixture": {}, "month": {}}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("classes", [12, 24, 36])
def test_densities_are_shares(name, classes):
    torch.manual_seed(0)
    head = HEADS[name](classes=classes, dim=6, **SMALL[name]).eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    features = torch.randn(4, 6)
    scores = head(features)
    assert scores.shape == (4, classes)
    assert head.embed(features).shape[0] == 4
    for bins in (24, 96, 7):
        density = head.density(features, bins)
        assert density.shape == (4, bins)
        assert (density >= 0).all()
        torch.testing.assert_close(density.sum(1), torch.ones(4))
    if name != "soft":
        torch.testing.assert_close(head.density(features, classes), scores.softmax(1), atol=1e-5, rtol=1e-3)


def test_spreading_is_refining():
    shares = torch.rand(5, 24, dtype=torch.float64)
    shares = shares / shares.sum(1, keepdim=True)
    for bins in (48, 96, 36):
        np.testing.assert_allclose(spread(shares, bins).numpy(), circular.refine(shares.numpy(), bins), atol=1e-12)


def test_repeated_rows_are_counted_rows():
    """Batch norm with counts gives what the rows repeated give, statistics included."""
    torch.manual_seed(0)
    encoder = TimeEncoder(6, 8, dropout=0.0).double().train()
    twin = TimeEncoder(6, 8, dropout=0.0).double().train()
    twin.load_state_dict(encoder.state_dict())
    counts = torch.tensor([3, 0, 1, 5, 2, 1])
    rows = torch.repeat_interleave(torch.eye(6, dtype=torch.float64), counts, dim=0)
    repeated, counted = twin(rows), encoder.gallery(counts.double())
    torch.testing.assert_close(
        counted[counts > 0], torch.stack([repeated[counts[:i].sum()] for i in range(6) if counts[i]])
    )
    for (key, first), second in zip(encoder.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(first, second, msg=key)


def test_the_month_narrows_the_hour():
    head = HEADS["month"](dim=3)
    with torch.no_grad():
        head.out.bias.view(24, 12)[9, 0] = 10
        head.out.bias.view(24, 12)[15, 6] = 9
    months = torch.tensor([0, 6, -1])
    assert head(torch.zeros(3, 3), months).argmax(1).tolist() == [9, 15, 9]
