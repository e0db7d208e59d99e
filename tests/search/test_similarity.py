"""Similarities against pair-by-pair computation."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.clips.ragged import Ragged
from telltime.search.similarity import (
    chamfer,
    comparator_chamfer,
    cosine,
    cosine_legacy,
    euclidean,
    euclidean_legacy,
    symmetric_chamfer,
)


def videos(lengths, seed=0, dim=6):
    generator = torch.Generator().manual_seed(seed)
    return Ragged.of([F.normalize(torch.randn(n, dim, generator=generator), dim=1) for n in lengths])


def one_by_one(queries, gallery, symmetric=False):
    out = torch.zeros(len(queries), len(gallery))
    for i, ours in enumerate(queries):
        for j, theirs in enumerate(gallery):
            matrix = ours @ theirs.T
            out[i, j] = matrix.amax(1).mean()
            if symmetric:
                out[i, j] = (out[i, j] + matrix.amax(0).mean()) / 2
    return out


lengths = st.lists(st.integers(1, 9), min_size=1, max_size=7)


@settings(max_examples=25, deadline=None)
@given(lengths, lengths, st.integers(1, 12), st.integers(1, 12))
def test_tiles_give_what_pairs_give(ours, theirs, tall, wide):
    queries, gallery = videos(ours), videos(theirs, 1)
    tile = (tall, wide)
    torch.testing.assert_close(chamfer(queries, gallery, tile=tile), one_by_one(queries, gallery))
    torch.testing.assert_close(symmetric_chamfer(queries, gallery, tile=tile), one_by_one(queries, gallery, True))


def test_many_query_frames_order_the_gallery_by_length_and_give_the_same():
    queries, gallery = videos([300, 7, 300]), videos([4, 9, 4, 1, 9, 33, 4], 1)
    torch.testing.assert_close(chamfer(queries, gallery), one_by_one(queries, gallery))
    torch.testing.assert_close(symmetric_chamfer(queries, gallery), one_by_one(queries, gallery, True))
    torch.testing.assert_close(symmetric_chamfer(queries, gallery), symmetric_chamfer(gallery, queries).T)


def test_half_precision_stays_near():
    queries, gallery = videos([30, 12], dim=64), videos([25, 40, 3], 1, dim=64)
    exact = chamfer(queries, gallery)
    assert (chamfer(queries, gallery, dtype=torch.bfloat16) - exact).abs().max() < 0.004
    assert (chamfer(queries.to(torch.float16), gallery.to(torch.float16)) - exact).abs().max() < 0.001


def test_a_video_is_its_own_nearest_and_contains_its_parts():
    gallery = videos([20, 30, 25], dim=32)
    torch.testing.assert_close(chamfer(gallery, gallery).diag(), torch.ones(3))
    part = Ragged.of([gallery[1][10:15]])
    torch.testing.assert_close(chamfer(part, gallery)[0, 1], torch.tensor(1.0))
    assert symmetric_chamfer(part, gallery)[0, 1] < 0.8


def test_what_cannot_be_compared_is_named():
    empty = Ragged(torch.zeros(2, 6), torch.tensor([0, 2, 2]))
    with pytest.raises(ValueError, match="query 1 has no frames"):
        chamfer(empty, videos([3]))
    with pytest.raises(ValueError, match="gallery video 1 has no frames"):
        symmetric_chamfer(videos([3]), empty)
    with pytest.raises(ValueError, match="of one D"):
        chamfer(videos([3]), videos([3], dim=5))
    with pytest.raises(ValueError, match="chamfer"):
        cosine(torch.zeros(2, 3), torch.zeros(2, 4))


def test_vectors_in_blocks():
    queries, gallery = torch.randn(5, 8), torch.randn(11, 8)
    gallery[3] = 0
    expected = F.cosine_similarity(queries[:, None], gallery[None], dim=2)
    torch.testing.assert_close(cosine(queries, gallery, block=4), expected)
    assert cosine(queries, gallery)[:, 3].eq(0).all()
    assert cosine_legacy(queries, gallery)[:, 3].eq(1).all()
    kept = [i for i in range(11) if i != 3]
    assert torch.equal(cosine_legacy(queries, gallery)[:, kept], cosine(queries, gallery)[:, kept])


def test_honest_distances_depend_on_the_pair_alone():
    queries, gallery = torch.randn(6, 8), torch.randn(9, 8)
    scores = euclidean(queries, gallery)
    torch.testing.assert_close(euclidean(queries[:2], gallery), scores[:2])
    assert torch.equal(scores.argsort(1), cosine(queries, gallery).argsort(1))
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert not torch.allclose(euclidean_legacy(queries[:2], gallery), euclidean_legacy(queries, gallery)[:2])
    same = torch.ones(2, 4)
    assert euclidean_legacy(same, same).isfinite().all()


def test_a_comparator_sees_every_pair_once():
    queries, gallery = videos([4, 6, 4]), videos([5, 4, 5, 8], 1)
    seen = []

    def halved(matrices):
        seen.append(matrices.shape)
        return matrices / 2

    found = comparator_chamfer(queries, gallery, halved, cells=40)
    torch.testing.assert_close(found, one_by_one(queries, gallery) / 2)
    assert sum(shape[0] for shape in seen) == 12
    both = comparator_chamfer(queries, gallery, halved, symmetric=True)
    torch.testing.assert_close(both, one_by_one(queries, gallery, True) / 2)
