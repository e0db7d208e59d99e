"""The packed encoder against PyTorch's padded one, and what a user may do wrong."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from telltime.backbones import tca_encoder
from telltime.backbones.comparator import VideoComparator
from telltime.backbones.recurrent import GRU, LSTM
from telltime.backbones.tca_encoder import TCAEncoder, packed
from telltime.backbones.vlad import NetVLAD, NeXtVLAD
from telltime.checkpoints.build import build, describe
from telltime.clips.ragged import Ragged, offsets_of

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=6)
EACH = {
    "tca": TCAEncoder(8, heads=2, feedforward=16),
    "netvlad": NetVLAD(8, 3, 6, gating=2),
    "nextvlad": NeXtVLAD(8, 3, 6, groups=4, gating=2),
    "lstm": LSTM(8, 5),
    "gru": GRU(8, 5, layers=1),
}


def videos(lengths: list[int], dim: int = 8) -> Ragged:
    rows = torch.randn(sum(lengths), dim, generator=torch.Generator().manual_seed(len(lengths)))
    return Ragged(normalize(rows, dim=-1), offsets_of(torch.tensor(lengths)))


@settings(max_examples=20, deadline=None)
@given(LENGTHS, st.integers(1, 3), st.booleans())
def test_packed_equals_padded(lengths: list[int], layers: int, final_norm: bool) -> None:
    torch.manual_seed(layers)
    encoder = TCAEncoder(8, layers, heads=2, feedforward=16, final_norm=final_norm).eval()
    frames = videos(lengths)
    padded = torch.nn.utils.rnn.pad_sequence(list(frames), batch_first=True)
    past = torch.arange(padded.shape[1]) >= frames.lengths[:, None]
    with torch.no_grad():
        vectors, encoded = encoder(frames)
        reference = encoder.transformer_encoder(padded.transpose(0, 1), src_key_padding_mask=past).transpose(0, 1)
    reference = packed(reference, frames.lengths)
    torch.testing.assert_close(encoded.rows, normalize(reference.rows, dim=-1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(vectors, normalize(reference.mean(), dim=-1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_blocks_change_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = EACH["tca"].eval()
    frames = videos([5, 9, 1, 9, 30, 2])
    vectors, encoded = encoder(frames)
    monkeypatch.setattr(tca_encoder, "BLOCK_ROWS", rows)
    again, frames_again = encoder(frames)
    torch.testing.assert_close(again, vectors, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(frames_again.rows, encoded.rows, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", EACH)
def test_a_batch_equals_single_videos(name: str) -> None:
    encoder = EACH[name].eval()
    frames = videos([3, 1, 6])
    with torch.no_grad():
        vectors, encoded = encoder(frames)
        for number, video in enumerate(frames):
            vector, alone = encoder(Ragged.of([video]))
            torch.testing.assert_close(vector[0], vectors[number], atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(alone[0], encoded[number], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert vectors.shape[1] == encoder.channels


def test_order_does_not_matter_and_frames_follow_it() -> None:
    encoder = EACH["tca"].eval()
    frames = videos([9])
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    vectors, encoded = encoder(frames)
    shuffled, follow = encoder(frames.like(frames.rows[order]))
    torch.testing.assert_close(shuffled, vectors, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(follow.rows, encoded.rows[order], atol=1e-6, rtol=1e-5)


def test_identity_start_gives_the_descriptors_back() -> None:
    frames = videos([4, 7])
    _, encoded = TCAEncoder(8, heads=2, feedforward=16, start="identity").eval()(frames)
    centred = frames.rows - frames.rows.mean(1, keepdim=True)
    torch.testing.assert_close(encoded.rows, normalize(centred, dim=-1), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", EACH)
def test_every_aggregator_is_rebuilt_from_its_attributes(name: str) -> None:
    described = describe(EACH[name])
    again = build(**described)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in EACH[name].state_dict().items()}


@pytest.mark.parametrize("name", EACH)
def test_wrong_rows_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"descriptors must be \[N, 8\]"):
        EACH[name](videos([2], dim=5))
    with pytest.raises(ValueError, match=r"videos without frames cannot be encoded: \[1\]"):
        EACH[name](Ragged(torch.rand(2, 8), torch.tensor([0, 1, 1, 2])))


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="dim is a multiple of heads"):
        TCAEncoder(10, heads=3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (5, 4)])
def test_the_comparator_takes_short_videos(shape: tuple[int, int]) -> None:
    matrices = torch.rand(2, *shape)
    refined = VideoComparator()(matrices)
    assert refined.shape == (2, max(4, shape[0]) // 4, max(4, shape[1]) // 4)
    assert ((refined >= 0) & (refined <= 1)).all()
    with pytest.raises(ValueError, match="frames on both sides"):
        VideoComparator()(torch.rand(2, 0, 3))


def test_netvlad_can_count_padding_as_published() -> None:
    frames = videos([2, 5])
    plain, counting = NetVLAD(8, 3, 6, gating=2), NetVLAD(8, 3, 6, gating=2, padded_to=5)
    plain(frames), counting(frames)
    total = frames.rows.sum(0)
    torch.testing.assert_close(plain.bn1.running_mean, 0.1 * total / 7)
    torch.testing.assert_close(counting.bn1.running_mean, 0.1 * total / 10)
