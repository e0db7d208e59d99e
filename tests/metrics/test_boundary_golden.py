"""J, F, outlines and statistics against the stored reference."""

from typing import Any

import numpy as np
import pytest

from telltime.metrics.boundary import boundary_f, outline
from telltime.metrics.video_objects import course, region_j, score_labels, score_objects


def _masks(file: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.unpackbits(file[name], count=int(np.prod(shape))).reshape(shape).astype(bool)


@pytest.fixture(scope="module")
def davis(golden: Any) -> dict[str, np.ndarray]:
    file = golden.npz("timet_davis.npz")
    shape = tuple(file["shape"].tolist())
    return file | {
        "gt": _masks(file, "gt", shape),
        "pred": _masks(file, "pred", shape),
        "void": _masks(file, "void", shape[1:]),
        "boundary": _masks(file, "boundary", (shape[0], *shape[2:])),
    }


@pytest.mark.parametrize("which", ["", "_void", "_missing"])
def test_j_and_f_are_the_references(davis: dict[str, np.ndarray], which: str) -> None:
    predicted = davis["pred"][:-1] if which == "_missing" else davis["pred"]
    j, f = score_objects(predicted, davis["gt"], davis["void"] if which == "_void" else None)
    np.testing.assert_array_equal(j, davis[f"J{which}"])
    np.testing.assert_allclose(f, davis[f"F{which}"], rtol=0, atol=1e-15)


def test_mean_recall_and_decay_are_the_references(davis: dict[str, np.ndarray]) -> None:
    measured = [[course(values) for values in pair] for pair in zip(davis["J"], davis["F"], strict=True)]
    numbers = [[(each.mean, each.recall, each.decay) for each in pair] for pair in measured]
    np.testing.assert_allclose(numbers, davis["stats"], rtol=0, atol=1e-14)


def test_outlines_are_the_references(davis: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(outline(davis["pred"][:, 1]), davis["boundary"])
    f = boundary_f(davis["pred"][:, 1], davis["gt"][:, 1], tolerance=1)
    np.testing.assert_allclose(f, davis["F_1px"], rtol=0, atol=1e-15)


def test_a_frame_at_480p_scores_as_the_reference(golden: Any) -> None:
    file = golden.npz("timet_davis_480.npz")
    shape = tuple(file["shape"].tolist())
    truth, predicted = _masks(file, "gt", shape), _masks(file, "pred", shape)
    assert region_j(predicted, truth) == file["J"]
    assert boundary_f(predicted, truth) == pytest.approx(float(file["F"]), abs=1e-15)
    j, f = score_labels(predicted[None].astype(np.uint8), truth[None].astype(np.uint8), [1])
    assert j[0, 0] == file["J"]
    assert f[0, 0] == pytest.approx(float(file["F"]), abs=1e-15)
