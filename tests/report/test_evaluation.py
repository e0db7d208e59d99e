"""What a task measured becomes a page with all of it, and with none of what it did not measure."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from telltime.report.evaluation import MOST_ROWS, report, shown, write_report
from telltime.tasks.result import Result


def result(**details: Any) -> Result:
    return Result(
        task="neighbours",
        protocol="frozen",
        metrics={"recall@1": 0.5623, "mae_hours": 1.234},
        model={"name": "runs/tclr", "clip": {"frames": 16}},
        data={"name": "ucf101 fold 1", "root": "/videos/<ucf>"},
        records=3783,
        dropped=1,
        seconds=200.0,
        details=details,
    )


def video(name: str, label: str | None = "run", **more: Any) -> dict[str, Any]:
    return {"id": name, "label": label, "frames": np.zeros((3, 3, 12, 16), np.uint8)} | more


def neighbours(count: int) -> list[dict[str, Any]]:
    hits = [video("a/b_1.avi", score=0.9, correct=True), video("c/d_2.avi", "jump", score=0.5, correct=False)]
    return [{"query": video(f"run/q{i}.avi"), "hits": hits} for i in range(count)]


def test_every_part_is_there(tmp_path: Path) -> None:
    path = write_report(
        result(
            confusion=np.array([[5, 2], [0, 7]]),
            classes=["run", "jump"],
            per_class={"run": 5 / 7, "jump": 1.0},
            neighbours=neighbours(3),
            curves={"train loss": [2.0, 1.0, 0.5]},
            chance={"recall@1": 0.0099},
            notes=["Batch norm in train mode, as published."],
        ),
        tmp_path / "out",
    )
    assert path == tmp_path / "out" / "report.html"
    text = path.read_text(encoding="utf-8")
    for said in (
        "Nearest-neighbour retrieval",
        "runs/tclr on ucf101 fold 1",
        "56.2 %",
        "1.23",
        "chance 1.0 %",
        "3,783 videos measured in 3.3 min; 1 video dropped",
        "as published.",
        "Over training",
        "in 3 of these 3",
        "Which classes are taken for which",
        "29%",
        "Class by class",
        "clip.frames",
        "&lt;ucf&gt;",
        "torch",
    ):
        assert said in text, said
    assert text.count("data:image/webp") == 9


def test_a_bare_result_is_a_page_too() -> None:
    text = report(result()).html()
    assert "56.2 %" in text
    assert "Nearest neighbours" not in text
    assert "Over training" not in text
    assert "<svg" not in text


def test_a_perfect_confusion_has_no_table_of_mistakes() -> None:
    assert "taken for</th>" not in report(result(confusion=np.eye(2, dtype=int), classes=["a", "b"])).html()


def test_many_queries_are_cut_and_it_is_said() -> None:
    text = report(result(neighbours=neighbours(MOST_ROWS + 5))).html()
    assert text.count('class="row"') == MOST_ROWS
    assert "5 further queries are not shown" in text


def test_unlabelled_neighbours_are_named_by_id() -> None:
    rows = [{"query": video("shot 1", None), "hits": [video("shot 2", None, score=0.25, correct=None, frames=None)]}]
    text = report(result(neighbours=rows)).html()
    assert "shot 1" in text
    assert "shot 2" in text
    assert "no frames" in text
    assert "The first neighbour" not in text
    assert "✗" not in text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("top1", 0.699, "69.9 %"),
        ("recall@50", 1.0, "100.0 %"),
        ("map_dsvr", 0.5, "50.0 %"),
        ("J&F", 0.5, "50.0 %"),
        ("val_top1", 0.5, "50.0 %"),
        ("mae_hours", 0.5, "0.5"),
        ("loss", 2.0, "2"),
        ("videos", 13320, "13,320"),
        ("seconds", 1234.5, "1,234"),
        ("loss", float("nan"), "nan"),
    ],
)
def test_metrics_read_as_the_field_writes_them(name: str, value: float, said: str) -> None:
    assert shown(name, value) == said
