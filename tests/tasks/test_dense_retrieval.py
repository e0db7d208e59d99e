import pytest
import torch
from squares import SIDE, Colours, table

from telltime.datasets.record import DatasetError
from telltime.tasks.dense_retrieval import dense_retrieval, fill, settings_of
from telltime.tasks.mask_classes import MaskClasses
from telltime.tasks.measuring import Reading

SMALL = {"size": SIDE, "neighbours": 3}


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    root = tmp_path_factory.mktemp("squares")
    return table(root, "train", 6, 0, void=True), table(root, "test", 4, 1, void=True)


@pytest.mark.parametrize("preset", ["paper", "plain"])
def test_colours_tell_each_other(splits, preset):
    result = dense_retrieval(Colours(), *splits, settings_of(preset, **SMALL), Reading())
    assert result.metrics["miou"] > 0.75
    assert set(result.details["per_class"]) == {"background", "red", "green"}
    assert result.model["input"] == f"{SIDE}x{SIDE}"


def memory(splits, **changes):
    settings = settings_of("plain", **(SMALL | changes))
    return fill(Colours(), splits[0], settings, Reading(), MaskClasses.of(*splits), SIDE, 0)


def test_a_memory_is_as_large_as_asked(splits):
    places = (SIDE // 8) ** 2
    assert len(memory(splits, memory=0)) == 6 * places
    assert len(memory(splits, memory=60)) == 60
    assert len(memory(splits, memory=65)) == 60
    assert len(memory(splits, memory=10**6)) == 6 * places
    assert len(memory(splits, memory=4)) == 4
    assert len(memory(splits, memory=12, rounds=2)) == 12


def test_a_small_memory_still_knows_every_class(splits):
    bank = memory(splits, memory=60)
    counted = bank.shares(torch.tensor([[0.9, -0.5, -0.5], [-0.5, 0.9, -0.5], [0.0, 0.0, 0.0]]), 3).argmax(1)
    assert counted[:2].tolist() == [1, 2]


def test_sizes_are_cut_to_the_stride(splits):
    result = dense_retrieval(Colours(), *splits, settings_of("plain", **(SMALL | {"size": 70})), Reading())
    assert result.model["input"] == "64x64"


def test_the_same_seed_remembers_the_same(splits):
    settings = settings_of("paper", **(SMALL | {"memory": 40}))
    classes = MaskClasses.of(*splits)
    one, two, other = (fill(Colours(), splits[0], settings, Reading(), classes, SIDE, seed) for seed in (1, 1, 2))
    query = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one.shares(query), two.shares(query))
    assert not torch.equal(one.shares(query), other.shares(query))


def test_nothing_but_void_leaves_no_memory(tmp_path):
    from PIL import Image

    train, test = table(tmp_path, "train", 2, 0), table(tmp_path, "test", 2, 1)
    for record in train.records:
        Image.new("L", (SIDE, SIDE), 255).save(record.masks.files[0])
    with pytest.raises(DatasetError, match="not one labelled place of 2 training pictures"):
        dense_retrieval(Colours(), train, test, settings_of("plain", **SMALL), Reading())
