"""The first stage finds what looking at every vector finds, for one query and for many, built or not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from telltime.search.first_stage import FirstStage
from telltime.search.rows import frames_schema, pack_frames
from telltime.search.tables import Tables


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    made = rng.standard_normal((40, 16)).repeat(15, 0) + 0.3 * rng.standard_normal((600, 16))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def stage(vectors: np.ndarray, tmp_path: Path) -> FirstStage:
    tables = Tables(str(tmp_path))
    tables.create("frames", frames_schema(16))
    tables.add("frames", pack_frames(np.arange(len(vectors)), torch.from_numpy(vectors)))
    return FirstStage(tables.table("frames"))


@pytest.mark.parametrize("queries", [1, 7])
def test_every_vector_is_looked_at_before_anything_is_built(
    stage: FirstStage, vectors: np.ndarray, queries: int
) -> None:
    found = stage.nearest(vectors[:queries], 5)
    truth = np.argsort(-(vectors[:queries] @ vectors.T), 1)[:, :5]
    assert (found.numbers[:, 0] == np.arange(queries)).all()
    assert [set(row) for row in found.numbers.tolist()] == [set(row) for row in truth.tolist()]
    np.testing.assert_allclose(found.similarity[:, 0], 1, atol=1e-4)
    assert not stage.built


def test_fewer_vectors_than_asked_for(stage: FirstStage, vectors: np.ndarray) -> None:
    found = stage.nearest(vectors[:2], 700)
    assert found.numbers.shape == (2, 700)
    assert (found.numbers[:, 600:] == -1).all()
    assert (found.similarity[:, 600:] == -1).all()


def test_the_structure_is_built_and_finds_the_same(stage: FirstStage, vectors: np.ndarray) -> None:
    stage.build()
    assert stage.built
    found = stage.nearest(vectors[::60], 5)
    truth = np.argsort(-(vectors[::60] @ vectors.T), 1)[:, :5]
    same = [len(set(a) & set(b)) / 5 for a, b in zip(found.numbers.tolist(), truth.tolist(), strict=True)]
    assert np.mean(same) > 0.95
