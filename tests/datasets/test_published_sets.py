"""HMDB51, Kinetics-400 and Diving48 in the layouts people have."""

import json
from pathlib import Path

import pytest

from telltime.datasets import DatasetError, load

HMDB = {
    "wave": [("Film_A_wave_f_nm_np1_ba_med_0.avi", (1, 2, 0)), ("Film_B_wave_u_cm_np1_ri_goo_3.avi", (2, 1, 1))],
    "climb": [("#12_(odd)_climb_f_cm_np1_fr_bad_1.avi", (1, 1, 2)), ("Film_A_climb_f_cm_np1_fr_bad_7.avi", (0, 2, 1))],
    "climb_stairs": [
        ("Film_C_climb_stairs_u_nm_np1_le_goo_2.avi", (1, 0, 2)),
        ("Film_D_climb_stairs_f.avi", (2, 1, 1)),
    ],
}


def _splits() -> dict[str, str]:
    return {
        f"{title}_test_split{fold}.txt": "".join(f"{name} {marks[fold - 1]} \n" for name, marks in clips)
        for title, clips in HMDB.items()
        for fold in (1, 2, 3)
    }


@pytest.mark.parametrize("where", ["testTrainMulti_7030_splits", "splits", ".", "annotations"])
@pytest.mark.parametrize("videos", ["", "hmdb51_org/", "nested/"])
def test_hmdb51_wherever_lists_and_videos_lie(plant, where: str, videos: str) -> None:
    nested = videos == "nested/"
    root = plant([f"{videos}{t}/{t + '/' if nested else ''}{n}" for t, clips in HMDB.items() for n, _ in clips])
    plant({f"{where}/{name}": text for name, text in _splits().items()})
    table = load("hmdb51", root)
    assert table.classes == ("climb", "climb_stairs", "wave")
    assert [(r.id, r.label) for r in table.records] == [
        ("climb/#12_(odd)_climb_f_cm_np1_fr_bad_1.avi", 0),
        ("climb_stairs/Film_C_climb_stairs_u_nm_np1_le_goo_2.avi", 1),
        ("wave/Film_A_wave_f_nm_np1_ba_med_0.avi", 2),
    ]
    assert [r.group for r in table.records] == ["#12_(odd)", "Film_C", "Film_A"]
    assert table.published == 3570
    assert len(load("hmdb51", root, "test")) == 2
    assert len(load("hmdb51", root, "all", 3)) == 6
    assert not table.missing


def test_hmdb51_archives_not_extracted_are_said(plant) -> None:
    root = plant(["climb.rar", "wave.rar"])
    plant({f"splits/{name}": text for name, text in _splits().items()})
    with pytest.raises(DatasetError, match=r"2 \.rar not read \(e\.g\. climb\.rar\); extract"):
        load("hmdb51", root)


def test_hmdb51_without_lists_or_with_odd_ones(plant) -> None:
    root = plant(["wave/a.avi"])
    with pytest.raises(DatasetError, match=r"testTrainMulti_7030_splits/\*_test_split1\.txt"):
        load("hmdb51", root)
    plant({"splits/wave_test_split1.txt": "a.avi train\n"})
    with pytest.raises(DatasetError, match="expected lines such as"):
        load("hmdb51", root)


OFFICIAL = "label,youtube_id,time_start,time_end,split\n"


@pytest.mark.parametrize(
    "layout",
    [
        "{split}/{label}/{id}_000003_000013.mp4",
        "videos_{split}/{under}/{id}_000003_000013.MKV",
        "{id}_000003_000013.mp4",
        "compress/{split}/{label}/{id}.webm",
    ],
)
@pytest.mark.parametrize("name", ["train.csv", "annotations/kinetics400_train.csv", "kinetics-400_train.csv"])
def test_kinetics_official_lists(plant, layout: str, name: str) -> None:
    rows = [("juggling balls", "AbC-_123"), ("abseiling", "abc-_123"), ("air drumming", "zzz")]
    at = [layout.format(split="train", label=lab, under=lab.replace(" ", "_"), id=i) for lab, i in rows[:2]]
    root = plant(at)
    body = "".join(f'"{lab}",{i},3,13,train\n' for lab, i in rows)
    plant({name: OFFICIAL + body, name.replace("train", "val"): OFFICIAL + "yoga,new,0,10,val\n"})
    table = load("kinetics400", root)
    assert table.classes == ("abseiling", "air drumming", "juggling balls", "yoga")
    assert [(r.label, r.group) for r in table.records] == [(2, "AbC-_123"), (0, "abc-_123")]
    assert [r.path for r in table.records] == [root / p for p in at]
    assert table.missing == ("air drumming/zzz_000003_000013.mp4",)
    assert table.published == 3


def test_kinetics_test_is_the_validation_list(plant) -> None:
    root = plant({"train.csv": OFFICIAL + "a,t,0,10,train\n", "validate.csv": OFFICIAL + "b,v,0,10,val\n"})
    plant(["a/t_000000_000010.mp4", "b/v_000000_000010.mp4"])
    assert [r.group for r in load("kinetics400", root, "test").records] == ["v"]
    assert [r.group for r in load("kinetics400", root, "val").records] == ["v"]
    assert [r.group for r in load("kinetics400", root, "all").records] == ["t", "v"]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("clips/one.mp4 2\nclips/two b.mp4 0\n", [2, 0]),
        ("clips/one.mp4,2\nclips/two b.mp4,0\n", [2, 0]),
        ("path,label\nclips/one.mp4,waving hands\nclips/two b.mp4,air drumming\n", [1, 0]),
    ],
)
def test_plain_lists_of_path_and_label(plant, text: str, labels: list[int]) -> None:
    root = plant(["clips/one.mp4", "clips/two b.mp4"])
    table = load("kinetics400", root, annotation=plant({"mine.txt": text}, root="lists") / "mine.txt")
    assert table.labels().tolist() == labels
    assert table.published is None
    assert len(table.classes) == max(labels) + 1


def test_plain_lists_with_absolute_paths_outside_the_root(plant, tmp_path: Path) -> None:
    elsewhere = plant(["one.mp4"], root="elsewhere")
    root = plant({"train.txt": f"{elsewhere / 'one.mp4'} 0\n"})
    assert load("kinetics400", root).records[0].path == elsewhere / "one.mp4"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "looked for train.csv"),
        ({"train.csv": ""}, "is empty"),
        ({"train.csv": "onlyonecolumn\n"}, "expected lines of path and label"),
        ({"train.csv": OFFICIAL + "a,b,soon,late,train\n"}, "are no numbers"),
        ({"val.csv": OFFICIAL + "a,b,0,1,val\n"}, "no list of the train split"),
    ],
)
def test_kinetics_lists_that_do_not_serve(plant, files: dict[str, str], said: str) -> None:
    root = plant(["a/b_000000_000001.mp4"])
    plant(files)
    with pytest.raises(DatasetError, match=said):
        load("kinetics400", root)


def _dive(name: str, label: int, start: int = 0) -> dict[str, object]:
    return {"vid_name": name, "label": label, "start_frame": start, "end_frame": start + 164}


@pytest.mark.parametrize("where", ["", "annotations/"])
def test_diving48(plant, where: str) -> None:
    root = plant(["rgb/aBc_x_00001.mp4", "rgb/abc_x_00001.mp4"])
    plant({f"rawframes/zzz_00002/img_{i:05d}.jpg": "" for i in range(3)})
    plant(
        {
            f"{where}Diving48_V2_train.json": json.dumps(
                [_dive("aBc_x_00001", 1), _dive("zzz_00002", 0, 7), _dive("no_00003", 1)]
            ),
            f"{where}Diving48_V2_test.json": json.dumps([_dive("abc_x_00001", 0)]),
            f"{where}Diving48_vocab.json": json.dumps([["Back", "15som", "05Twis", "FREE"], ["Reverse", "Dive"]]),
        }
    )
    table = load("diving48", root)
    assert table.classes == ("Back 15som 05Twis FREE", "Reverse Dive")
    assert [(r.id, r.label, r.group, r.span) for r in table.records] == [
        ("aBc_x_00001", 1, "aBc_x", None),
        ("zzz_00002", 0, "zzz", (7, 171)),
    ]
    assert table.missing == ("no_00003",)
    assert load("diving48", root, "test").records[0].path.name == "abc_x_00001.mp4"
    assert (table.published, load("diving48", root, "all").published) == (15027, 16997)


@pytest.mark.parametrize(
    "text", ["{", "{}5", '{"a": 1}', '[{"vid_name": "x"}]', "[1]", '[{"vid_name": "x", "label": 48}]']
)
def test_diving48_lists_that_do_not_read(plant, text: str) -> None:
    root = plant({"Diving48_V2_train.json": text, "rgb/x.mp4": ""})
    with pytest.raises(DatasetError, match=r"Diving48_V2_train\.json"):
        load("diving48", root)
