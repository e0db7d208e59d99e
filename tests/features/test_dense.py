"""Grids of annotated frames: whose they are, of which frames, and what cannot be read."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from dense_toys import COLOURS, ColourEncoder, blocks, pictures, videos
from telltime.clips.policy import BadMedia, TooManyDropped
from telltime.datasets.masks import Masks
from telltime.datasets.record import Record
from telltime.features.dense import View, drawn_frames, see
from telltime.media.errors import MediaError


@pytest.mark.parametrize(("batch", "threads"), [(1, 0), (4, 0), (7, 2), (100, 1)])
def test_frames_come_with_their_own_labels_whatever_the_batch(tmp_path, batch, threads):
    table, encoder = videos(tmp_path, 3, 5), ColourEncoder()
    seen = list(see(encoder, table.records, View(64, labels=8, shown=True), batch=batch, threads=threads))
    assert [one.record.id for one in seen] == ["v0", "v1", "v2"]
    assert max(encoder.seen) <= batch
    for number, one in enumerate(seen):
        assert one.indices.tolist() == list(range(5))
        wanted = np.stack([blocks(number + t)[4::8, 4::8] for t in range(5)])
        np.testing.assert_array_equal(one.labels, wanted)
        colours = torch.from_numpy(COLOURS[wanted]).permute(0, 3, 1, 2) / 255
        torch.testing.assert_close(one.grid, colours.float(), atol=1e-3, rtol=0)
        assert one.frames.shape == (5, 3, 64, 64)
        assert one.attention is None


def test_other_shapes_and_attention(tmp_path):
    record = pictures(tmp_path, 1).records[0]
    (one,) = see(ColourEncoder(), [record], View((32, 80), labels=(10, 7), attention=True))
    assert one.grid.shape == (1, 3, 4, 10)
    assert one.labels.shape == (1, 10, 7)
    assert one.attention.shape == (1, 2, 4, 10)
    assert one.frames is None


def test_other_deviations(tmp_path):
    records, encoder = pictures(tmp_path, 1).records, ColourEncoder()
    (plain,) = see(encoder, records, View(64))
    (half,) = see(encoder, records, View(64, deviation=(2.0, 1.0, 0.5)))
    assert plain.labels is None
    torch.testing.assert_close(half.grid * torch.tensor([2.0, 1.0, 0.5])[:, None, None], plain.grid)


def test_drawn_frames_are_the_same_every_time_and_others_with_another_seed(tmp_path):
    table = videos(tmp_path, 6, 9)
    drawn = [[tuple(drawn_frames(3, seed)(record)) for record in table.records] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) > 1
    assert all(list(one) == sorted(set(one)) and len(one) == 3 for one in drawn[0])
    record = table.records[0]
    few = replace(record, masks=Masks({2: record.masks.files[2], 7: record.masks.files[7]}))
    assert list(drawn_frames(3)(few)) == list(drawn_frames(0)(few)) == [2, 7]


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    records = list(videos(tmp_path, 3, 2).records)
    (tmp_path / "pictures/v1/00001.png").write_bytes(b"no picture")
    records.append(Record("bare", records[0].path, masks=Masks()))
    policy = BadMedia("skip", tmp_path / "dropped.jsonl", 0.5)
    seen = list(see(ColourEncoder(), records, View(64, labels=8), policy=policy))
    assert [one.record.id for one in seen] == ["v0", "v2"]
    told = policy.log.read_text()
    assert "v1" in told
    assert "has no annotated frame" in told
    with pytest.raises(MediaError):
        list(see(ColourEncoder(), records, View(64, labels=8)))
    with pytest.raises(TooManyDropped):
        list(see(ColourEncoder(), records, View(64, labels=8), policy=BadMedia("skip", max_share=0.1)))


def test_a_damaged_mask_is_a_record_that_cannot_be_read(tmp_path):
    records = videos(tmp_path, 2, 2).records
    (tmp_path / "masks/v0/00000.png").write_bytes(b"\x89PNG")
    policy = BadMedia("skip", max_share=1)
    assert [one.record.id for one in see(ColourEncoder(), records, View(64, labels=8), policy=policy)] == ["v1"]


def test_progress_is_told_record_by_record(tmp_path):
    told = []
    list(see(ColourEncoder(), pictures(tmp_path, 3).records, View(64), progress=lambda *at: told.append(at)))
    assert told == [(1, 3), (2, 3), (3, 3)]
