"""Whitening: the published numbers, fitted in one pass, and every file layout."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.backbones.whitening import Whitening, WhiteningError


def rows(count, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator) @ torch.randn(size, size, generator=generator) + 3


def test_fitted_and_applied_as_published(golden):
    stored = golden.npz("tca_pca.npz")
    names = sorted({key.partition("_")[0] for key in stored})
    assert names
    for name in names:
        x, queries = (torch.from_numpy(stored[f"{name}_{part}"]) for part in "xq")
        order = np.argsort(-stored[f"{name}_lams"], kind="stable")
        dim = len(order)
        for kind in ("white", "plain"):
            made = Whitening.fit(x.split(4), dim, whiten=kind == "white")
            assert np.allclose(made.eigenvalues, stored[f"{name}_lams"][order], rtol=1e-3, atol=1e-5)
            assert np.allclose(made.components.abs(), np.abs(stored[f"{name}_U"][:, order]), atol=2e-3)
            assert np.allclose(made.mean, stored[f"{name}_mu"][:, 0], atol=1e-5)
            found, expected = made(queries), stored[f"{name}_{kind}_out"][:, order]
            assert np.allclose(found.abs(), np.abs(expected), atol=2e-3)
            assert np.allclose(found @ found.T, expected @ expected.T, atol=2e-3)


def test_the_published_file_is_read_and_its_order_mended(golden, tmp_path):
    stored = golden.npz("tca_pca.npz")
    for name in sorted({key.partition("_")[0] for key in stored}):
        parts = {key: stored[f"{name}_{key}"] for key in ("U", "lams", "mu", "Utmu")}
        np.savez(tmp_path / "pca.npz", **parts)
        order = np.argsort(-parts["lams"], kind="stable")
        queries = torch.from_numpy(stored[f"{name}_q"])
        for kind in ("white", "plain"):
            read = Whitening.load(tmp_path / "pca.npz", whiten=kind == "white")
            weight, bias = read.affine()
            assert np.allclose(weight, stored[f"{name}_{kind}_weight"].reshape(weight.shape)[order], atol=1e-4)
            assert np.allclose(bias, stored[f"{name}_{kind}_bias"][order], atol=1e-4)
            assert np.allclose(read(queries), stored[f"{name}_{kind}_out"][:, order], atol=1e-5)


def test_visil_and_dns_files_are_read(tmp_path):
    mean, vectors = torch.randn(6), torch.linalg.qr(torch.randn(6, 6))[0]
    values = torch.tensor([0.1, 3.0, 2.0, 0.0, 5.0, 1.0])
    torch.save({"mean": mean[None], "d": values, "V": vectors}, tmp_path / "pca.pth")
    read = Whitening.load(tmp_path / "pca.pth").to_dim(3)
    x = torch.randn(4, 6)
    order = [4, 1, 2]
    expected = (x - mean) @ vectors[:, order] / (values[order] + 1e-7).sqrt()
    assert torch.allclose(read(x), torch.nn.functional.normalize(expected), atol=1e-5)


@given(st.integers(2, 30), st.integers(1, 6), st.integers(0, 99), st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_one_pass_over_batches_is_one_pass_over_all(count, size, seed, batch):
    x = rows(count, size, seed)
    dim = min(size, count - 1)
    made = Whitening.fit(x.split(batch), dim)
    assert (made.eigenvalues.diff() <= 0).all()
    covariance = np.cov(x.double().numpy(), rowvar=False).reshape(size, size)
    top = np.sort(np.linalg.eigvalsh(covariance))[::-1][:dim]
    assert np.allclose(made.eigenvalues, np.maximum(top, 1e-9), rtol=1e-4, atol=1e-6)


def test_whitened_rows_are_uncorrelated_with_variance_one():
    x = rows(400, 8) + 1000
    made = Whitening.fit(x.split(64), 5)
    assert torch.allclose(torch.cov(made.project(x).T), torch.eye(5), atol=1e-2)
    assert torch.allclose(made(x).norm(dim=1), torch.ones(400), atol=1e-5)
    assert torch.allclose(made.to_dim(2).project(x), made.project(x)[:, :2], atol=1e-3)


def test_saved_and_read_back(tmp_path):
    for whiten in (True, False):
        made = Whitening.fit([rows(50, 6)], 4, whiten)
        made.save(tmp_path / "w.safetensors")
        read = Whitening.load(tmp_path / "w.safetensors")
        assert read.whiten == whiten
        assert torch.equal(read(rows(3, 6)), made(rows(3, 6)))


def test_rows_that_do_not_allow_it_are_refused():
    with pytest.raises(WhiteningError, match="4 rows cannot give 4 directions"):
        Whitening.fit([rows(4, 8)], 4)
    with pytest.raises(WhiteningError, match="0 rows"):
        Whitening.fit([], 4)
    with pytest.raises(ValueError, match="between 1 and 8"):
        Whitening.fit([rows(40, 8)], 9)
    with pytest.raises(WhiteningError, match="not finite"):
        Whitening.fit([rows(40, 8).log()], 2)
    with pytest.raises(ValueError, match=r"\[\.\.\., 8\]"):
        Whitening(8, 2)(torch.zeros(3, 7))


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz", "w.pth"])
def test_files_that_hold_none_are_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(WhiteningError, match=f"{name}: there is no such file"):
        Whitening.load(path)
    path.write_bytes(b"\x80\x02cos\nsystem\n.")
    with pytest.raises(WhiteningError, match=f"{name}: no whitening can be read"):
        Whitening.load(path)


def test_a_file_of_other_tensors_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "w.pth")
    np.savez(tmp_path / "w.npz", weights=np.zeros(3))
    for name in ("w.pth", "w.npz"):
        with pytest.raises(WhiteningError, match=name):
            Whitening.load(tmp_path / name)
