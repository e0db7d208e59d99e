import pytest
from squares import SIDE, Colours, table

from telltime.tasks.foreground import foreground, settings_of
from telltime.tasks.measuring import Reading

SMALL = {"size": SIDE, "masks": 32, "k": 10, "border": 5, "share": 0.97}


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    root = tmp_path_factory.mktemp("squares")
    return table(root, "train", 8, 0, void=True), table(root, "test", 5, 1, void=True)


@pytest.mark.parametrize("preset", ["paper", "corrected", "leopart"])
def test_colourful_squares_are_cut_out(splits, preset):
    result = foreground(Colours(), *splits, settings_of(preset, **SMALL), Reading())
    assert result.metrics["jaccard"] > 0.6
    assert result.metrics["boundary_f"] > 0.6
    assert result.metrics["miou"] > 0.6
    assert result.records == 5
    assert {one["predicted"].max() for one in result.details["segmented"]} == {1}


def test_void_counts_as_foreground_only_as_published(splits):
    paper, corrected = (
        foreground(Colours(), *splits, settings_of("paper", void_counts=counts, **SMALL), Reading()).metrics["jaccard"]
        for counts in (True, False)
    )
    assert corrected > paper


def test_the_corrected_threshold_needs_no_label(tmp_path, splits):
    from PIL import Image

    blank = table(tmp_path, "train", 8, 0)
    for record in blank.records:
        Image.new("L", (SIDE, SIDE), 0).save(record.masks.files[0])
    known, unknown = (
        foreground(Colours(), train, splits[1], settings_of("corrected", **SMALL), Reading()).metrics
        for train in (table(tmp_path / "other", "train", 8, 0), blank)
    )
    assert known == unknown


def test_more_clusters_than_places_are_an_answer_all_the_same(splits):
    result = foreground(Colours(), *splits, settings_of("paper", **(SMALL | {"k": 5000})), Reading())
    assert 0 <= result.metrics["jaccard"] <= 1


def test_unknown_settings_are_named():
    with pytest.raises(ValueError, match="paper, corrected, leopart, not best"):
        settings_of("best")
    with pytest.raises(ValueError, match="truth or attention"):
        settings_of("paper", tuned_on="luck")
