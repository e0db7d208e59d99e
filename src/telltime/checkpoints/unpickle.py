"""Checkpoints written by ``torch.save``, read without running what is in them.

Both formats are read: the zip archive (torch 1.6 and later) and the older one that starts with a magic number. Their
pickles go through :mod:`telltime.checkpoints.pickles`; only tensors, numpy numbers and arrays and plain containers come
out as themselves, every other object as an :class:`~telltime.checkpoints.pickles.Inert` stand-in.
"""

import io
import math
import mmap
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from torch import Tensor

from telltime.checkpoints.errors import CheckpointError, UnsafePickle
from telltime.checkpoints.pickles import Constructors, Global, Inert, unpickle

__all__ = ["CheckpointError", "Inert", "load_published"]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}


def load_published(path: str | Path) -> dict[str, Any]:
    """What a checkpoint file holds, tensors on the CPU; nothing in it is run, and nothing is imported on its behalf.

    Raises:
        UnsafePickle: it names something that could run code.
        CheckpointError: there is no such file, it is no torch checkpoint, or it is damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise CheckpointError("the file is empty")
            content = _read_zip(path) if zipfile.is_zipfile(file) else _read_legacy(path)
        if not isinstance(content, dict):
            raise CheckpointError(f"it holds a {type(content).__name__}, expected a dictionary of tensors")
        return content
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file") from error
    except CheckpointError as error:
        raise type(error)(f"{path}: {error}") from error
    except (OSError, EOFError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from error


def _read_zip(path: Path) -> Any:
    """The archive: ``NAME/data.pkl`` describes, ``NAME/data/KEY`` holds a storage's bytes."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise CheckpointError("it is a zip archive, but not one that torch.save wrote")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in entries:
            raise CheckpointError("it is a TorchScript archive, which holds code; expected a checkpoint of torch.save")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise CheckpointError("its entries are compressed, which torch.save never does")
        if sum(entry.file_size for entry in entries.values()) > path.stat().st_size:
            raise CheckpointError("its entries claim more bytes than the file has")
        if f"{folder}byteorder" in entries and archive.read(f"{folder}byteorder") != b"little":
            raise CheckpointError("it was written on a big-endian machine, which is not supported")
        storages: dict[str, Tensor] = {}

        def persistent(identifier: Any) -> Tensor:
            dtype, key, numel, _ = _storage_identifier(identifier)
            if key not in storages:
                if f"{folder}data/{key}" not in entries:
                    raise CheckpointError(f"storage {key:.40} is not in the archive")
                storages[key] = _values(archive.read(f"{folder}data/{key}"), dtype, numel, key)
            return storages[key]

        return unpickle(io.BytesIO(archive.read(pickles[0])), _CONSTRUCTORS, _BUILDERS, persistent)


def _read_legacy(path: Path) -> Any:
    """Five pickles (magic number, version, system, content, storage keys), then every storage's size and bytes."""
    storages: dict[str, Tensor] = {}
    room = path.stat().st_size

    def persistent(identifier: Any) -> Tensor:
        nonlocal room
        dtype, key, numel, view = _storage_identifier(identifier)
        if key not in storages:
            room -= numel * dtype.itemsize
            if room < 0:
                raise CheckpointError(f"storage {key:.40} claims {numel} values, more than the file has room for")
            storages[key] = torch.zeros(numel, dtype=dtype)
        return storages[key] if view is None else _part(storages[key], *view)

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        stream = cast(IO[bytes], content)
        if _magic(stream) != _MAGIC:
            raise CheckpointError("it is no checkpoint: neither a torch zip archive nor the older torch format")
        if unpickle(stream) != _PROTOCOL:
            raise CheckpointError("its format version is unknown")
        system = unpickle(stream)
        if not isinstance(system, dict) or not system.get("little_endian", True):
            raise CheckpointError("it was written on a big-endian machine, which is not supported")
        found = unpickle(stream, _CONSTRUCTORS, _BUILDERS, persistent)
        keys = unpickle(stream)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(storages):
            raise CheckpointError("its list of storages is damaged")
        for key in keys:
            values = storages[key]
            (numel,) = struct.unpack("<q", content.read(8).ljust(8, b"\0"))
            if numel != len(values):
                raise CheckpointError(f"storage {key:.40} has {numel} values, expected {len(values)}")
            values.copy_(_values(content.read(values.nbytes), values.dtype, numel, key))
        return found


def _magic(stream: IO[bytes]) -> Any:
    """The first pickle's value, ``None`` when the file starts with no pickle at all."""
    try:
        return unpickle(stream)
    except UnsafePickle:
        raise
    except CheckpointError:
        return None


def _storage_identifier(identifier: Any) -> tuple[torch.dtype, str, int, Any]:
    """Type, key, number of values and view of ``("storage", type, key, device, numel[, view])``."""
    if type(identifier) is not tuple or len(identifier) not in (5, 6) or identifier[0] != "storage":
        raise CheckpointError("its pickle refers to something other than a tensor's storage")
    _, kind, key, _, numel = identifier[:5]
    if not isinstance(kind, Global) or kind.name not in _DTYPES:
        raise CheckpointError(f"storages of type {getattr(kind, 'name', type(kind).__name__)} are not supported")
    if type(key) is not str or type(numel) is not int or numel < 0:
        raise CheckpointError("a storage has no key or size")
    return _DTYPES[kind.name], key, numel, identifier[5] if len(identifier) == 6 else None


def _values(content: bytes, dtype: torch.dtype, numel: int, key: str) -> Tensor:
    """The numbers of a storage, ``[numel]``."""
    if len(content) < numel * dtype.itemsize:
        raise CheckpointError(f"storage {key:.40} claims {numel} values, the file has {len(content) // dtype.itemsize}")
    return torch.frombuffer(bytearray(content), dtype=dtype, count=numel) if numel else torch.empty(0, dtype=dtype)


def _part(storage: Tensor, key: Any, offset: Any, numel: Any) -> Tensor:
    """A storage that lies within another (the older format only)."""
    if not all(type(n) is int and n >= 0 for n in (offset, numel)) or offset + numel > len(storage):
        raise CheckpointError("a storage lies outside the one it is a part of")
    return storage[offset : offset + numel]


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    """A view of a storage, inside its bounds and with no more numbers than it has."""
    if not isinstance(storage, Tensor) or storage.ndim != 1 or type(size) is not tuple or type(stride) is not tuple:
        raise CheckpointError("a tensor is made of something other than a storage")
    if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
        raise CheckpointError("a tensor's shape is damaged")
    numel = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if len(size) > 32 or numel > len(storage) or (numel and last >= len(storage)):
        raise CheckpointError("a tensor reaches beyond its storage")
    if not numel:
        return torch.empty(size, dtype=storage.dtype)
    return storage.as_strided(size, stride, storage.storage_offset() + offset)


def _parameter(data: Any, *rest: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise CheckpointError("a parameter is made of something other than a tensor")
    return data


def _dtype(name: Any, *rest: Any) -> np.dtype[Any]:
    if not isinstance(name, str) or name.lstrip("<|=")[:1] not in set("biufc") or not name.lstrip("<|=")[1:].isdigit():
        raise CheckpointError(f"numpy arrays of type {name!s:.40} are not supported")
    return np.dtype(name)


def _set_dtype(dtype: np.dtype[Any], state: Any) -> None:
    if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", "|", "="):
        raise CheckpointError("numpy arrays that are big-endian or structured are not supported")


def _array_bytes(shape: Any, dtype: Any, content: Any) -> bytes:
    """The bytes of a numpy array, of exactly the size that its shape says."""
    content = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(dtype, np.dtype) or not isinstance(content, bytes | bytearray) or type(shape) is not tuple:
        raise CheckpointError("a numpy array is damaged")
    if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(content):
        raise CheckpointError("a numpy array's shape does not fit its bytes")
    return bytes(content)


def _scalar(dtype: Any, content: Any) -> Any:
    return np.frombuffer(_array_bytes((1,), dtype, content), dtype)[0]


def _set_array(array: np.ndarray, state: Any) -> None:
    _, shape, dtype, fortran, content = state
    checked: Any = (1, shape, dtype, bool(fortran), _array_bytes(shape, dtype, content))
    array.__setstate__(checked)


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    flat = np.frombuffer(bytearray(_array_bytes(shape, dtype, content)), dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")


_CONSTRUCTORS: Constructors = {
    "torch._utils._rebuild_tensor": _rebuild,
    "torch._utils._rebuild_tensor_v2": _rebuild,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.Size": lambda size=(): tuple(size),
    "numpy.dtype": _dtype,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy.core.multiarray._reconstruct": lambda *how: np.empty(0, np.uint8),
}
_BUILDERS: Mapping[type, Callable[[Any, Any], None]] = {np.dtype: _set_dtype, np.ndarray: _set_array}
