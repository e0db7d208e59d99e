import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import normalized_mutual_info_score

from telltime.metrics.shared_information import shared_information


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(2, 6), st.integers(2, 80))
def test_it_is_that_of_scikit_learn(seed, first, second, count):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, first, count), rng.integers(0, second, count)
    if len(set(a.tolist())) > 1 or len(set(b.tolist())) > 1:
        assert shared_information(a, b) == pytest.approx(normalized_mutual_info_score(a, b), abs=1e-9)


def test_names_do_not_matter_and_one_label_says_nothing():
    a = np.array([[0, 0, 1], [2, 2, 1]], dtype=np.uint8)
    assert shared_information(a, (a + 1) % 3) == pytest.approx(1)
    assert shared_information(np.zeros(5, dtype=int), np.zeros(5, dtype=int)) == 0
    with pytest.raises(ValueError, match="same things"):
        shared_information(a, a[:1])
