"""Photos to features: computed once for what a file holds, whatever it is called; bad files are told, the rest done."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from telltime.backbones.image_tower import ImageTower
from telltime.clips.policy import BadMedia, TooManyDropped
from telltime.datasets.record import Record, Table
from telltime.features.photos import content, embed_photos, photo_features, photo_settings
from telltime.features.store import Store, StoreError
from telltime.media.errors import MediaNotFound, Unreadable
from telltime.media.image import read_image


class Counting(ImageTower):
    """Counts the pictures that went through."""

    seen = 0

    def forward(self, pictures):
        self.seen += len(pictures)
        return super().forward(pictures)


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(3)
    return ImageTower("resnet18", size=32, pretrained=False, precision="float32").state_dict()


@pytest.fixture
def tower(weights):
    made = Counting("resnet18", size=32, pretrained=False, precision="float32")
    made.load_state_dict(weights)
    return made


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "photos"
    (place / "day").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(9):
        pixels = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(place / f"{'day/' * (number % 2)}{number}.jpg", quality=92)
    return place


def table_of(folder: Path) -> Table:
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return Table("photos", "all", folder, records=tuple(Record(str(p.relative_to(folder)), p) for p in found))


def test_rows_are_those_of_the_tower_in_any_number_of_threads(tower, folder, tmp_path):
    table = table_of(folder)
    alone = photo_features(embed_photos(tower, table, workers=0, batch=4), table)
    many = photo_features(embed_photos(tower, table, tmp_path / "s", workers=3, batch=2), table)
    assert [r.id for r in alone.table.records] == [r.id for r in table.records]
    torch.testing.assert_close(alone.features, many.features, rtol=1e-4, atol=1e-4)
    assert alone.marks == many.marks == tuple(content(r.path) for r in table.records)
    pixels = torch.stack([tower.prepare(read_image(r.path, least=tower.least)) for r in table.records])
    with torch.no_grad():
        torch.testing.assert_close(alone.features, tower(pixels), rtol=1e-4, atol=1e-4)


def test_only_what_is_new_is_computed(tower, folder, tmp_path):
    embed_photos(tower, table_of(folder), tmp_path / "s")
    assert tower.seen == 9
    steps = []
    embed_photos(tower, table_of(folder), tmp_path / "s", progress=lambda done, total: steps.append((done, total)))
    assert tower.seen == 9
    assert steps[-1] == (9, 9)
    (folder / "0.jpg").rename(folder / "renamed.jpg")
    shutil.copy(folder / "2.jpg", folder / "day" / "copy.jpg")
    Image.new("RGB", (40, 40), "red").save(folder / "4.jpg")
    table = table_of(folder)
    store = embed_photos(tower, table, tmp_path / "s")
    assert tower.seen == 10, "a renamed and a copied photo are known by what they hold"
    fresh = photo_features(embed_photos(tower, table), table)
    torch.testing.assert_close(photo_features(store, table).features, fresh.features, rtol=1e-4, atol=1e-4)
    again = photo_features(Store.open(tmp_path / "s"), table)
    assert torch.equal(again.features, photo_features(store, table).features)
    assert again.marks == fresh.marks


def test_photos_that_change_places_are_not_mixed_up(tower, folder, tmp_path):
    embed_photos(tower, table_of(folder), tmp_path / "s")
    held = (folder / "0.jpg").read_bytes()
    (folder / "0.jpg").write_bytes((folder / "2.jpg").read_bytes())
    (folder / "2.jpg").write_bytes(held)
    table = table_of(folder)
    store = embed_photos(tower, table, tmp_path / "s")
    assert tower.seen == 9
    fresh = photo_features(embed_photos(tower, table), table)
    torch.testing.assert_close(photo_features(store, table).features, fresh.features, rtol=1e-4, atol=1e-4)


def test_bad_files_are_named_and_the_rest_is_done(tower, folder, tmp_path):
    whole = (folder / "2.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.jpg").touch()
    table = table_of(folder)
    gone = Table("photos", "all", folder, records=(*table.records, Record("gone.jpg", folder / "gone.jpg")))
    policy = BadMedia("skip", tmp_path / "dropped.jsonl", max_share=0.5)
    found = photo_features(embed_photos(tower, gone, tmp_path / "s", policy, workers=2), gone)
    assert len(found.table) == 9
    told = {row["id"]: row["kind"] for row in map(json.loads, (tmp_path / "dropped.jsonl").read_text().splitlines())}
    assert told == {
        "half.jpg": "Unreadable",
        "text.jpg": "Unreadable",
        "empty.jpg": "Unreadable",
        "gone.jpg": "MediaNotFound",
    }
    assert policy.dropped == 4
    with pytest.raises(TooManyDropped, match="of 13 photos"):
        embed_photos(tower, gone, None, BadMedia("skip", max_share=0.1))


def test_a_first_bad_file_stops_and_keeps_what_was_done(tower, folder, tmp_path):
    (folder / "5x.jpg").write_text("no picture")
    with pytest.raises(Unreadable, match=r"5x\.jpg"):
        embed_photos(tower, table_of(folder), tmp_path / "s", workers=2, batch=2)
    kept = len(Store.open(tmp_path / "s"))
    assert kept == 3
    (folder / "5x.jpg").unlink()
    before = tower.seen
    embed_photos(tower, table_of(folder), tmp_path / "s")
    assert tower.seen == before + 9 - kept


def test_a_photo_that_broke_since_is_no_longer_told_of(tower, folder, tmp_path):
    embed_photos(tower, table_of(folder), tmp_path / "s")
    (folder / "0.jpg").write_text("broken")
    table = table_of(folder)
    store = embed_photos(tower, table, tmp_path / "s", BadMedia("skip", max_share=1))
    assert "0.jpg" not in [r.id for r in photo_features(store, table).table.records]


def test_rows_of_another_tower_or_profile_are_refused(tower, weights, folder, tmp_path):
    embed_photos(tower, table_of(folder), tmp_path / "s")
    other = ImageTower("resnet18", "reference", size=32, pretrained=False, precision="float32")
    other.load_state_dict(weights)
    with pytest.raises(StoreError, match="profile 'own', not 'reference'; give another folder"):
        embed_photos(other, table_of(folder), tmp_path / "s")
    same = ImageTower("resnet18", size=32, pretrained=False, precision="float32")
    with pytest.raises(StoreError, match="made with digest"):
        embed_photos(same, table_of(folder), tmp_path / "s")
    settings = photo_settings(tower)
    assert (settings["tower"], settings["size"], settings["numbers"]) == ("resnet18", 32, 512)


def test_a_large_photo_is_decoded_small_and_gives_nearly_the_same(folder, tmp_path, monkeypatch):
    tower = ImageTower(precision="float32")
    small = Image.open(folder / "2.jpg").resize((1600, 1200), Image.Resampling.BICUBIC)
    place = tmp_path / "large"
    place.mkdir()
    small.save(place / "large.jpg", quality=90)
    from telltime.features import photos

    sizes = []
    real = photos.read_image

    def spy(path, limits, least):
        found = real(path, limits, least)
        sizes.append(tuple(found.shape))
        return found

    monkeypatch.setattr(photos, "read_image", spy)
    row = photo_features(embed_photos(tower, table_of(place)), table_of(place)).features
    assert min(sizes[0][1:]) < 1200
    assert min(sizes[0][1:]) >= tower.least
    with torch.no_grad():
        full = tower(tower.prepare(real(place / "large.jpg"))[None])
    assert torch.nn.functional.cosine_similarity(row, full).item() > 0.99


def test_content_is_all_a_file_holds(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    (tmp_path / "b").write_bytes(b"x" * 50_000 + b"y" + b"x" * 49_999)
    assert content(tmp_path / "a") != content(tmp_path / "b")
    assert len(content(tmp_path / "a")) == 32
    with pytest.raises(MediaNotFound):
        content(tmp_path / "c")
    with pytest.raises(Unreadable):
        content(tmp_path)
