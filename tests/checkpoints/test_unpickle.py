"""Checkpoint files: both formats of torch, what may be in them, and what must not pass."""

import pickle
import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from telltime.checkpoints.errors import CheckpointError, UnsafePickle
from telltime.checkpoints.unpickle import Inert, load_published

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16]
DTYPES += [torch.int8, torch.uint8, torch.bool]


def saved(path: Path, content: Any, zipped: bool = True, protocol: int = 2) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    return path


def archive(path: Path, content: bytes, storages: dict[str, bytes] | None = None, compression: int = 0) -> Path:
    """A zip of torch's layout around any pickle."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", content)
        for key, values in (storages or {}).items():
            file.writestr(f"archive/data/{key}", values)
    return path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x0a" + value.to_bytes(10, "little", signed=True)


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def one_tensor(
    numel: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, kind: str = "FloatStorage"
) -> bytes:
    """A pickle of ``{"w": tensor}`` on storage 0, whatever the numbers say."""
    storage = (
        b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text("0") + text("cpu") + number(numel) + b"tQ"
    )
    rest = number(offset) + numbers(size) + numbers(stride) + b"\x89Nt"
    return b"\x80\x02}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"Rs."


def legacy(path: Path, content: bytes, keys: list[str], storages: bytes) -> Path:
    """The older format around any pickle."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "protocol_version": 1001, "type_sizes": {}}]
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in head) + content + pickle.dumps(keys, 2) + storages)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_of_every_kind_come_back(dtype: torch.dtype, zipped: bool, tmp_path: Path) -> None:
    whole = (torch.arange(24).reshape(2, 3, 4) % 2).to(dtype)
    content = {
        "whole": whole,
        "turned": whole.transpose(0, 2),
        "part": whole[1, 1:],
        "none": whole[:0],
        "one": whole[0, 0, 0],
    }
    found = load_published(saved(tmp_path / "file.pth", content, zipped))
    for key, value in content.items():
        assert found[key].dtype == dtype
        assert torch.equal(found[key], value), key
    assert found["whole"].data_ptr() == found["turned"].data_ptr(), "views of one storage share it, as they were saved"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", range(2, 6))
def test_what_trainings_save_comes_back(protocol: int, zipped: bool, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    moments = torch.randn(2, 3)
    adam = {"state": {0: {"step": 7, "exp_avg": moments}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]}
    content = {
        "state_dict": net.state_dict(),
        "optimizer": adam,
        "parameter": net[0].weight,
        "best": np.float64(9.75),
        "array": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "empty": np.zeros((0, 3), np.int64),
        "shape": torch.Size([1, 2]),
        "epoch": 3,
    }
    found = load_published(saved(tmp_path / "file.pth", content, zipped, protocol))
    assert list(found["state_dict"]) == list(net.state_dict())
    assert all(torch.equal(found["state_dict"][key], value) for key, value in net.state_dict().items())
    assert torch.equal(found["parameter"], net[0].weight)
    assert torch.equal(found["optimizer"]["state"][0]["exp_avg"], moments)
    assert (found["best"], found["epoch"], tuple(found["shape"])) == (9.75, 3, (1, 2))
    np.testing.assert_array_equal(found["array"], content["array"])
    assert found["empty"].shape == (0, 3)


def test_loaded_tensors_are_ours_to_change(tmp_path: Path) -> None:
    path = saved(tmp_path / "file.pth", {"w": torch.zeros(3)})
    load_published(path)["w"] += 1
    assert load_published(path)["w"].sum() == 0


def test_the_file_of_an_old_torch_loads_with_its_scaler_inert(golden: Any) -> None:
    path = golden.path("tclr_checkpoint_amp19.pth")
    found = load_published(path)
    assert isinstance(found["amp_scaler"], Inert)
    assert found["amp_scaler"].name == "torch.cuda.amp.grad_scaler.GradScaler"
    state = found["state_dict"]
    assert all(isinstance(value, Tensor) for value in state.values())
    expected = golden.fill(state, golden.seed)
    assert all(torch.equal(value, expected[key]) for key, value in state.items())
    assert isinstance(found["optimizer"]["state"][0]["exp_avg"], Tensor)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_file_is_refused_by_name_and_runs_nothing(zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    evil = b"\x80\x02}" + text("state_dict") + b"cposix\nsystem\n" + text(f"touch {mark}") + b"\x85Rs."
    path = tmp_path / "evil.pth"
    path = archive(path, evil) if zipped else legacy(path, evil, [], b"")
    with pytest.raises(UnsafePickle, match=r"evil\.pth: .*posix\.system"):
        load_published(path)
    assert not mark.exists()


def test_a_bare_hostile_pickle_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"cbuiltins\nexec\n" + text("open('mark', 'w')") + b"\x85R.")
    with pytest.raises(UnsafePickle, match=r"builtins\.exec"):
        load_published(path)


def test_a_whole_pickled_network_is_inert(tmp_path: Path) -> None:
    found = load_published(saved(tmp_path / "file.pth", {"net": nn.Linear(2, 2), "epoch": 1}))
    assert isinstance(found["net"], Inert)
    assert found["epoch"] == 1


@pytest.mark.parametrize(
    ("numel", "size", "stride", "offset", "says"),
    [
        (2**40, (2,), (1,), 0, "claims"),
        (4, (5,), (1,), 0, "beyond"),
        (4, (2, 2), (4, 1), 0, "beyond"),
        (4, (4,), (1,), 1, "beyond"),
        (4, (2**40,), (0,), 0, "beyond"),
        (4, (2**33, 2**33), (0, 0), 0, "beyond"),
        (4, (-1,), (1,), 0, "shape"),
        (4, (2,), (-1,), 3, "shape"),
        (4, (2,), (1,), -1, "shape"),
        (4, (2, 2), (1,), 0, "shape"),
        (-1, (2,), (1,), 0, "size"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_never_reach_outside_the_file(
    numel: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int, says: str, zipped: bool, tmp_path: Path
) -> None:
    content, path = one_tensor(numel, size, stride, offset), tmp_path / "file.pth"
    if zipped:
        archive(path, content, {"0": bytes(16)})
    else:
        legacy(path, content, ["0"], struct.pack("<q", 4) + bytes(16))
    with pytest.raises(CheckpointError, match=says):
        load_published(path)


def test_the_hostile_sizes_above_differ_from_good_ones_in_size_only(tmp_path: Path) -> None:
    content = one_tensor(4, (2, 2), (2, 1))
    one = archive(tmp_path / "zip.pth", content, {"0": np.arange(4, dtype=np.float32).tobytes()})
    two = legacy(tmp_path / "old.pth", content, ["0"], struct.pack("<q", 4) + np.arange(4, dtype=np.float32).tobytes())
    for path in (one, two):
        assert load_published(path)["w"].tolist() == [[0, 1], [2, 3]]


def test_storages_of_unknown_types_are_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "file.pth", one_tensor(4, (2,), (1,), kind="QInt8Storage"), {"0": bytes(16)})
    with pytest.raises(CheckpointError, match=r"torch\.QInt8Storage"):
        load_published(path)


def test_many_storages_cannot_claim_more_than_the_file(tmp_path: Path) -> None:
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n%s" + text("cpu") + number(100) + b"tQ"
    content = b"\x80\x02}" + text("w") + b"(" + b"".join(storage % text(str(i)) for i in range(1000)) + b"ts."
    with pytest.raises(CheckpointError, match="room"):
        load_published(legacy(tmp_path / "file.pth", content, [], b""))


def test_an_archive_is_taken_only_as_torch_writes_it(tmp_path: Path) -> None:
    good = one_tensor(4, (4,), (1,))
    with pytest.raises(CheckpointError, match="not in the archive"):
        load_published(archive(tmp_path / "a.pth", good))
    with pytest.raises(CheckpointError, match="compressed"):
        load_published(archive(tmp_path / "b.pth", good, {"0": bytes(10**6)}, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(tmp_path / "c.pth", "w") as file:
        file.writestr("notes.txt", "hello")
    with pytest.raises(CheckpointError, match=r"not one that torch\.save wrote"):
        load_published(tmp_path / "c.pth")
    with zipfile.ZipFile(archive(tmp_path / "d.pth", good, {"0": bytes(16)}), "a") as file:
        file.writestr("archive/constants.pkl", b"\x80\x02).")
    with pytest.raises(CheckpointError, match="TorchScript"):
        load_published(tmp_path / "d.pth")
    with zipfile.ZipFile(archive(tmp_path / "e.pth", good, {"0": bytes(16)}), "a") as file:
        file.writestr("archive/byteorder", "big")
    with pytest.raises(CheckpointError, match="big-endian"):
        load_published(tmp_path / "e.pth")


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "empty"), (b"#!/bin/sh\necho hello\n", "no checkpoint"), (bytes(1000), "no checkpoint")]
)
def test_other_files_are_named_as_such(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"file\.pth: .*{says}"):
        load_published(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_published(tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_published(tmp_path)


def test_a_file_of_something_else_than_a_dictionary_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a list"):
        load_published(saved(tmp_path / "file.pth", [torch.zeros(2)]))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_anywhere_is_damaged(zipped: bool, tmp_path: Path) -> None:
    whole = saved(
        tmp_path / "file.pth", {"state_dict": {"w": torch.randn(50), "v": torch.randn(5)}}, zipped
    ).read_bytes()
    cut = tmp_path / "cut.pth"
    for length in [*range(0, len(whole), len(whole) // 40), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            load_published(cut)


def test_flipped_bytes_of_weights_are_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "file.pth", {"w": torch.full((64,), 7.0)})
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((2,), 7.0).numpy().tobytes()) + 9] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_published(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_damage_anywhere_gives_a_dictionary_or_a_checkpoint_error(zipped: bool, tmp_path: Path) -> None:
    content = {"state_dict": {"w": torch.randn(4, 3), "v": torch.randn(2)}, "best": np.float64(1), "epoch": 3}
    whole = saved(tmp_path / "file.pth", content, zipped).read_bytes()
    rng, damaged = np.random.default_rng(0), tmp_path / "damaged.pth"
    for _ in range(300):
        bad = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            bad[place] = rng.integers(256)
        damaged.write_bytes(bad)
        with suppress(CheckpointError):
            assert isinstance(load_published(damaged), dict)
