"""UCF101 as people have it on disk."""

import os
import shutil
from pathlib import Path

import pytest

from telltime.datasets import DatasetError, load


def test_labels_follow_class_ind_and_not_the_alphabet(ucf: Path) -> None:
    table = load("ucf101", ucf)
    assert table.classes == ("Hammering", "HammerThrow", "HandstandPushups", "Kayaking")
    assert {table.classes[r.label] for r in table.records if r.id.startswith("HammerThrow/")} == {"HammerThrow"}
    assert table.labels().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_class_comes_from_the_folder_where_the_file_is_spelt_otherwise(ucf: Path) -> None:
    record = next(r for r in load("ucf101", ucf).records if "HandStandPushups" in r.id)
    assert record.label == 2
    assert record.group == "HandstandPushups/g08"
    assert record.path.is_file()


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_train_and_test_share_no_group_and_make_up_the_whole(ucf: Path, fold: int) -> None:
    train, test, whole = (load("ucf101", ucf, split, fold) for split in ("train", "test", "all"))
    assert not {r.group for r in train.records} & {r.group for r in test.records}
    assert {r.id for r in whole.records} == {r.id for r in train.records} | {r.id for r in test.records}
    assert train.fold == test.fold == whole.fold == fold


def test_published_counts(ucf: Path) -> None:
    counts = [load("ucf101", ucf, split, fold).published for fold in (1, 2, 3) for split in ("train", "test", "all")]
    assert counts == [9537, 3783, 13320, 9586, 3734, 13320, 9624, 3696, 13320]


@pytest.mark.parametrize("given", ["outer/inner", "outer/inner/UCF-101", "outer"])
def test_root_may_be_the_video_folder_or_a_folder_above(ucf: Path, given: str) -> None:
    (ucf.parent / "outer").mkdir()
    ucf.rename(ucf.parent / "outer" / "inner")
    assert len(load("ucf101", ucf.parent / given)) == 8


def test_ids_do_not_depend_on_the_root_given(ucf: Path) -> None:
    assert [r.id for r in load("ucf101", ucf).records] == [r.id for r in load("ucf101", ucf / "UCF-101").records]


def test_missing_files_are_named_and_are_no_records(ucf: Path) -> None:
    gone = "Kayaking/v_Kayaking_g08_c02.avi"
    (ucf / "UCF-101" / gone).unlink()
    table = load("ucf101", ucf)
    assert table.missing == (gone,)
    assert gone not in {r.id for r in table.records}


def test_no_file_of_a_split_is_an_error_that_says_where_it_looked(ucf: Path) -> None:
    shutil.rmtree(ucf / "UCF-101")
    with pytest.raises(DatasetError, match=r"none of the 8 videos.*data.*Hammering/v_Hammering_g08_c01\.avi"):
        load("ucf101", ucf)


def test_missing_list_is_named(ucf: Path) -> None:
    (ucf / "ucfTrainTestlist" / "testlist02.txt").unlink()
    assert len(load("ucf101", ucf, "train", 2)) == 8
    with pytest.raises(DatasetError, match=r"testlist02\.txt"):
        load("ucf101", ucf, "test", 2)


def test_no_lists_at_all_names_the_path_looked_for(plant) -> None:
    root = plant(["UCF-101/Kayaking/v_Kayaking_g01_c01.avi"])
    with pytest.raises(DatasetError, match=r"ucfTrainTestlist/classInd\.txt.*--annotation"):
        load("ucf101", root)


@pytest.mark.parametrize("as_file", [False, True])
def test_annotation_overrides_the_lists_below_root(ucf: Path, plant, as_file: bool) -> None:
    lists = plant(
        {
            "classInd.txt": "1 Kayaking\n",
            "trainlist01.txt": "\ufeffKayaking/v_Kayaking_g01_c01.avi 1\n\n",
            "testlist01.txt": "",
        },
        root="own",
    )
    table = load("ucf101", ucf, annotation=lists / "trainlist01.txt" if as_file else lists)
    assert [(r.id, r.label) for r in table.records] == [("Kayaking/v_Kayaking_g01_c01.avi", 0)]


def test_annotation_that_is_not_there(ucf: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        load("ucf101", ucf, annotation=ucf / "nowhere")


def test_disagreeing_numbers_are_said_and_the_folder_decides(ucf: Path) -> None:
    path = ucf / "ucfTrainTestlist" / "trainlist01.txt"
    path.write_text(path.read_text().replace("Kayaking_g08_c01.avi 4", "Kayaking_g08_c01.avi 1"))
    table = load("ucf101", ucf)
    assert table.labels().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert any("1 lines of trainlist01.txt" in note for note in table.notes)


def test_repeated_lines_are_read_once(ucf: Path) -> None:
    path = ucf / "ucfTrainTestlist" / "trainlist01.txt"
    path.write_text(path.read_text() * 2)
    table = load("ucf101", ucf)
    assert len(table) == 8
    assert any("repeat" in note for note in table.notes)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("trainlist01.txt", "Rowing/v_Rowing_g01_c01.avi 1\n", "no class 'Rowing'"),
        ("trainlist01.txt", "\0\1\2garbage", "no class"),
        ("classInd.txt", "Kayaking\n", "expected lines such as"),
        ("classInd.txt", "", "must run from 1"),
        ("classInd.txt", "1 Kayaking\n3 Rowing\n", "without a gap"),
    ],
)
def test_damaged_lists_are_one_sentence(ucf: Path, name: str, text: str, said: str) -> None:
    (ucf / "ucfTrainTestlist" / name).write_text(text)
    with pytest.raises(DatasetError, match=said) as caught:
        load("ucf101", ucf)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("split", "fold", "said"), [("val", 1, "train, test, all"), ("train", 4, "1 to 3"), ("train", 0, "1 to 3")]
)
def test_splits_and_folds_that_do_not_exist(ucf: Path, split: str, fold: int, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        load("ucf101", ucf, split, fold)


def test_frame_folders_and_other_suffixes_stand_for_the_listed_file(ucf: Path) -> None:
    kayaking = ucf / "UCF-101" / "Kayaking"
    (kayaking / "v_Kayaking_g08_c01.avi").rename(kayaking / "v_Kayaking_g08_c01.MP4")
    (kayaking / "v_Kayaking_g08_c02.avi").unlink()
    for i in range(3):
        frame = kayaking / "v_Kayaking_g08_c02" / f"{i:05d}.JPG"
        frame.parent.mkdir(exist_ok=True)
        frame.touch()
    table = load("ucf101", ucf)
    assert not table.missing
    found = {r.id: r.path.name for r in table.records}
    assert found["Kayaking/v_Kayaking_g08_c01.avi"] == "v_Kayaking_g08_c01.MP4"
    assert found["Kayaking/v_Kayaking_g08_c02.avi"] == "v_Kayaking_g08_c02"


def test_strangers_are_counted_and_named(ucf: Path) -> None:
    (ucf / "UCF-101" / "Kayaking" / "extra.avi").touch()
    (ucf / "UCF-101" / "Thumbs.db").touch()
    notes = " ".join(load("ucf101", ucf, "all").notes)
    assert "1 video is in no list" in notes
    assert "1 .db (e.g. Thumbs.db)" in notes


def test_nothing_is_written_into_the_data(ucf: Path) -> None:
    before = sorted(os.fsencode(p) for p in ucf.rglob("*"))
    stamps = [os.stat(p).st_mtime_ns for p in before]
    load("ucf101", ucf, "all")
    assert sorted(os.fsencode(p) for p in ucf.rglob("*")) == before
    assert [os.stat(p).st_mtime_ns for p in before] == stamps
