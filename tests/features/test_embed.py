import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from telltime.checkpoints.model import Model
from telltime.clips.policy import BadMedia
from telltime.datasets import load
from telltime.features import embed
from telltime.features.embed import embed_table
from telltime.features.marks import digest, mark
from telltime.features.store import Store, StoreError
from telltime.media.errors import MediaError
from telltime.media.video import Video
from telltime.metrics.retrieval import available_mean, published_mean


@pytest.fixture
def data(tiny_ucf, tmp_path):
    """A copy to break, and its test split."""
    shutil.copytree(tiny_ucf, tmp_path / "data")
    return load("ucf101", tmp_path / "data", "test")


@pytest.fixture
def counted(monkeypatch):
    """Ids of the videos that are decoded."""
    seen = []

    class Counting(embed.ClipLoader):
        def __init__(self, records, *args, **kwargs):
            seen.extend(record.id for record in records)
            super().__init__(records, *args, **kwargs)

    monkeypatch.setattr(embed, "ClipLoader", Counting)
    return seen


def test_features_are_those_of_the_model_one_video_at_a_time(data, tiny_model):
    found = embed_table(tiny_model, data, positions=3, batch=4)
    assert found.ids == tuple(r.id for r in data.records)
    assert found.labels.tolist() == data.labels().tolist()
    assert found.slices.shape == (6, 3, 64)
    assert found.pooled.shape == (6, 3, 16)
    assert found.present.all()
    for row, record in enumerate(data.records):
        expected = tiny_model.embed(Video(record.path), positions=3)[0]
        torch.testing.assert_close(found.video(available_mean)[row], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.video(published_mean), found.video(available_mean))
    torch.testing.assert_close(found.pooled, found.slices.unflatten(2, (16, 4)).mean(3))


def test_workers_and_batches_change_nothing(data, tiny_model):
    one = embed_table(tiny_model, data, 3)
    other = embed_table(tiny_model, data, 3, workers=2, batch=64)
    torch.testing.assert_close(one.slices, other.slices, atol=1e-5, rtol=1e-4)


def test_a_second_time_decodes_nothing_and_a_part_is_found_in_the_whole(data, tiny_model, tmp_path, counted):
    first = embed_table(tiny_model, data, 3, tmp_path / "c")
    assert len(counted) == 6
    again = embed_table(tiny_model, data, 3, tmp_path / "c")
    part = embed_table(tiny_model, data.take([4, 1]), 3, tmp_path / "c")
    assert len(counted) == 6
    assert torch.equal(first.slices, again.slices)
    assert torch.equal(part.slices, first.slices[[4, 1]])


def test_other_weights_positions_or_clips_are_computed_anew(data, tiny_model, tmp_path, counted):
    first = embed_table(tiny_model, data, 3, tmp_path / "c")
    embed_table(tiny_model, data, 2, tmp_path / "c")
    assert len(counted) == 12
    embed_table(Model(tiny_model.backbone, replace(tiny_model.clip, crop=0.5)), data, 3, tmp_path / "c")
    assert len(counted) == 18
    with torch.no_grad():
        tiny_model.backbone.stem[0].weight.mul_(1.5)
    changed = embed_table(tiny_model, data, 3, tmp_path / "c")
    assert len(counted) == 24
    assert not torch.allclose(first.slices, changed.slices)


def test_only_a_changed_video_is_computed_again(data, tiny_model, tmp_path, counted):
    first = embed_table(tiny_model, data, 3, tmp_path / "c")
    counted.clear()
    shutil.copyfile(data.records[5].path, data.records[0].path)
    changed = embed_table(tiny_model, data, 3, tmp_path / "c")
    assert counted == [data.records[0].id]
    torch.testing.assert_close(changed.slices[0], first.slices[5])
    assert torch.equal(changed.slices[1:], first.slices[1:])


def test_bad_files_are_raised_or_left_out_and_tried_again(data, tiny_model, tmp_path, counted):
    good = data.records[2].path.read_bytes()
    data.records[2].path.write_bytes(b"this is no video")
    data.records[4].path.write_bytes(b"")
    with pytest.raises(MediaError, match=data.records[2].path.name):
        embed_table(tiny_model, data, 3, tmp_path / "c")
    policy = BadMedia("skip", tmp_path / "dropped.jsonl", max_share=0.5)
    found = embed_table(tiny_model, data, 3, tmp_path / "c", policy)
    assert found.dropped == (data.records[2].id, data.records[4].id)
    assert found.ids == tuple(r.id for i, r in enumerate(data.records) if i not in (2, 4))
    assert len((tmp_path / "dropped.jsonl").read_text().splitlines()) == 2
    counted.clear()
    data.records[2].path.write_bytes(good)
    again = embed_table(tiny_model, data, 3, tmp_path / "c", BadMedia("skip", max_share=0.5))
    assert sorted(counted) == sorted([data.records[2].id, data.records[4].id])
    assert again.dropped == (data.records[4].id,)


def test_what_was_done_before_an_error_is_kept(data, tiny_model, tmp_path, counted):
    data.records[5].path.write_bytes(b"")
    with pytest.raises(MediaError):
        embed_table(tiny_model, data, 3, tmp_path / "c", batch=1)
    counted.clear()
    embed_table(tiny_model, data.take(range(5)), 3, tmp_path / "c")
    assert counted == []


def test_a_short_video_has_the_positions_it_has_and_spares_the_rest(data, tiny_model, tmp_path):
    from telltime.media.write import write_video

    short = data.records[1].path
    write_video(short, (np.full((48, 64, 3), 9 * t, np.uint8) for t in range(22)))
    found = embed_table(tiny_model, data, 9, tmp_path / "c")
    there = found.present[1]
    assert 0 < int(there.sum()) < 9
    assert found.present[0].all()
    assert not found.slices[1][~there].any()
    expected = tiny_model.embed(Video(short), positions=9)[0]
    torch.testing.assert_close(found.video(available_mean)[1], expected, atol=1e-5, rtol=1e-4)
    factor = int(there.sum()) / 9
    torch.testing.assert_close(found.video(published_mean)[1], expected * factor, atol=1e-5, rtol=1e-4)


def test_a_store_of_another_model_is_refused(data, tiny_model, tmp_path):
    store = Store.create(tmp_path / "s", embed.store_settings(tiny_model, tiny_model.reader(3)))
    embed_table(tiny_model, data, 3, store=store)
    assert Store.open(tmp_path / "s").read("slices", [data.records[0].id]).shape == (1, 3, 16, 4)
    with torch.no_grad():
        tiny_model.backbone.stem[0].weight.mul_(2)
    with pytest.raises(StoreError, match="made with model"):
        Store.create(tmp_path / "s", embed.store_settings(tiny_model, tiny_model.reader(3)))


def test_marks_tell_content_from_content(data, tmp_path):
    one, other = data.records[:2]
    assert mark(one) != mark(other)
    assert mark(one) == mark(replace(one, label=None))
    assert mark(one) != mark(replace(one, span=(0, 40)))
    assert mark(replace(one, path=tmp_path / "nothing")) == "unreadable"
    before = digest([data])
    assert before == digest([replace(data, root=tmp_path)])
    one.path.write_bytes(one.path.read_bytes()[:-1])
    assert before != digest([data])


def test_a_frame_folder_is_marked_by_its_files(data, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    record = replace(data.records[0], path=folder)
    empty = mark(record)
    (folder / "1.png").write_bytes(b"1")
    assert mark(record) != empty
