import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.features import memory_bank
from telltime.features.memory_bank import MemoryBank, shares_of, varied_places


def filled(count, channels=6, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, channels, generator=generator)
    shares = torch.rand(count, classes, generator=generator).softmax(1)
    bank = MemoryBank(channels, classes, count)
    bank.add(features, shares)
    return bank, features, shares


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 400), st.integers(1, 9), st.integers(0, 99), st.sampled_from([1, 1 << 12, 1 << 24]))
def test_the_nearest_are_those_of_a_full_sort(count, k, seed, together):
    bank, features, _ = filled(count, seed=seed)
    queries = torch.randn(7, 6, generator=torch.Generator().manual_seed(seed + 1))
    before = memory_bank._TOGETHER
    memory_bank._TOGETHER = together
    try:
        cosines, rows = bank.nearest(queries, k)
    finally:
        memory_bank._TOGETHER = before
    full = F.normalize(queries, dim=1) @ F.normalize(features, dim=1).T
    expected, order = full.sort(dim=1, descending=True)
    assert cosines.shape == (7, min(k, count))
    torch.testing.assert_close(cosines, expected[:, :k], atol=1e-6, rtol=0)
    torch.testing.assert_close(full.gather(1, rows), cosines, atol=1e-6, rtol=0)
    assert all(len(set(row.tolist())) == len(row) for row in rows)
    assert order.shape[1] == count


def test_shares_are_those_of_neighbours_weighed_by_likeness():
    bank, features, shares = filled(50)
    query = torch.randn(1, 6)
    cosines = F.cosine_similarity(query, features)
    best = cosines.topk(5)
    expected = (best.values / 0.02).softmax(0) @ shares[best.indices]
    torch.testing.assert_close(bank.shares(query, 5, 0.02)[0], expected, atol=2e-3, rtol=0)


def test_what_does_not_fit_is_told():
    bank, features, shares = filled(4)
    with pytest.raises(ValueError, match="do not fit"):
        bank.add(features, shares)
    with pytest.raises(ValueError, match="do not fit"):
        MemoryBank(5, 3, 9).add(features, shares)
    with pytest.raises(ValueError, match="empty"):
        MemoryBank(6, 3, 9).nearest(features, 1)


def test_shares_of_a_place_are_its_pixels():
    labels = torch.tensor([[[0, 1, 2, 2], [1, 1, 2, 255]]], dtype=torch.uint8)
    torch.testing.assert_close(shares_of(labels, (1, 2), 3)[0, 0], torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 0.75]]))
    with pytest.raises(ValueError, match="do not divide"):
        shares_of(labels, (2, 3), 3)
    with pytest.raises(ValueError, match="found 2"):
        shares_of(labels, (1, 2), 2)


def test_rare_classes_are_remembered_first():
    shares = torch.zeros(1, 100, 3)
    shares[0, :, 0] = 1
    shares[0, 40] = torch.tensor([0.0, 1.0, 0.0])
    shares[0, 60] = 0.0
    for seed in range(20):
        kept = varied_places(shares, 30, torch.Generator().manual_seed(seed))[0].tolist()
        assert 40 in kept
        assert 60 not in kept
        assert len(kept) == 30
    assert len(varied_places(shares, 1000, torch.Generator())[0]) == 99


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999))
def test_places_are_scored_as_published(seed):
    """By the loops of the published program: classes counted once a place, places scored by the classes in them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (1, 12, 12), generator=generator).to(torch.uint8)
    labels[0, :9] = 0
    shares = shares_of(labels, (4, 4), 4).flatten(1, 2)
    cells = labels[0].view(4, 3, 4, 3).transpose(1, 2).reshape(16, 9)
    frequency = torch.zeros(4)
    for cell in cells:
        frequency[cell.unique().long()] += 1
    scores = torch.stack([frequency[cell.unique().long()].sum() for cell in cells])
    drawn = torch.rand(1, 16, generator=torch.Generator().manual_seed(seed))[0]
    expected = (scores * drawn).topk(5, largest=False).indices
    kept = varied_places(shares, 5, torch.Generator().manual_seed(seed))[0]
    assert kept.tolist() == expected.tolist()
