"""The pickle machine: plain data comes out as it went in, and nothing a file says is ever run."""

import datetime
import io
import math
import os
import pickle
import struct
import subprocess
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.checkpoints import pickles
from telltime.checkpoints.errors import CheckpointError, UnsafePickle
from telltime.checkpoints.pickles import Global, Inert, unpickle

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.integers())
        | st.frozensets(st.text())
    ),
    max_leaves=20,
)


def read(content: bytes) -> Any:
    return unpickle(io.BytesIO(content))


@given(plain, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_plain_data_comes_out_as_it_went_in(value: Any, protocol: int) -> None:
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_containers_of_the_library_come_out_as_containers(protocol: int) -> None:
    value = {
        "ordered": OrderedDict(a=1, b=2),
        "default": defaultdict(list, {3: [4]}),
        "counted": Counter("aab"),
        "bytes": bytearray(b"\xff\x00"),
        "complex": 1 - 2j,
        "long": -(2**80),
        "infinite": math.inf,
    }
    found = read(pickle.dumps(value, protocol))
    assert found == value
    assert type(found["ordered"]) is OrderedDict
    assert type(found["default"]) is dict, "a default factory is not needed and not kept"


def test_one_list_in_two_places_is_one_list_and_cycles_are_allowed() -> None:
    shared: list[Any] = [1]
    shared.append(shared)
    found = read(pickle.dumps([shared, shared], 2))
    assert found[0] is found[1] is found[0][1]


def test_several_pickles_follow_one_another() -> None:
    stream = io.BytesIO(pickle.dumps(1, 2) + pickle.dumps([2], 4) + b"rest")
    assert [unpickle(stream), unpickle(stream), stream.read()] == [1, [2], b"rest"]


# What an attack would run: each must leave no mark, and each is refused by name.
class Run:
    """Pickled, asks for ``function(*args)``."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "system"), (exec, "exec"), (eval, "eval"), (subprocess.check_output, "check_output")],
)
def test_calls_of_the_standard_library_are_refused(
    function: Callable[..., Any], name: str, protocol: int, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    command = f"open({str(mark)!r}, 'w')" if name in ("exec", "eval") else f"touch {mark}"
    with pytest.raises(UnsafePickle, match=rf"\.{name}\b.*nothing was run"):
        read(pickle.dumps({"weights": [1], "extra": Run(function, command)}, protocol))
    assert not mark.exists()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


SYSTEM = b"cposix\nsystem\n"
COMMAND = text("touch MARK")
FORMS = {
    "REDUCE": SYSTEM + COMMAND + b"\x85R.",
    "STACK_GLOBAL": b"\x80\x04" + text("posix") + text("system") + b"\x93" + COMMAND + b"\x85R.",
    "INST": b"(" + COMMAND + b"iposix\nsystem\n.",
    "OBJ": b"(" + SYSTEM + COMMAND + b"o.",
    "NEWOBJ": b"\x80\x02" + SYSTEM + COMMAND + b"\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04" + SYSTEM + COMMAND + b"\x85}\x92.",
    "nested import": b"c__builtin__\n__import__\n" + text("os") + b"\x85R.",
    "getattr": b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n" + text("os") + b"\x85R" + text("system") + b"tR.",
    "dotted name": b"\x80\x04" + text("collections") + text("abc.sys.modules") + b"\x93" + COMMAND + b"\x85R.",
    "unknown function": b"cnumpy.testing._private.utils\nrunstring\n" + COMMAND + b"}\x86R.",
    "torch.load again": b"ctorch.storage\n_load_from_bytes\n" + COMMAND + b"\x85R.",
    "torch.hub": b"ctorch.hub\nload\n" + COMMAND + b"\x85R.",
    "pip": b"cpip\nmain\n" + COMMAND + b"\x85R.",
    "call of a call": b"ccollections\nOrderedDict\n)RR.",
    "call of an inert object": b"c__main__\nThing\n)R)R.",
    "call of text": text("os.system") + COMMAND + b"\x85R.",
    "state of a name": b"ccollections\nOrderedDict\n}" + text("__call__") + SYSTEM + b"sb.",
    "state by slots": b"ccollections\nOrderedDict\nN}" + text("__init__") + text("x") + b"s\x86b.",
    "state of a list": b"]}b.",
    "breakpoint": b"cpdb\nset_trace\n)R.",
    "extension registry": b"\x80\x02\x82\x01.",
    "outside data": b"Pnobody\n.",
    "buffers": b"\x80\x05\x97.",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_call_is_refused(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError):
        read(FORMS[form].replace(b"MARK", b"mark"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["REDUCE", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"])
def test_the_refusal_names_what_was_asked_for(form: str) -> None:
    with pytest.raises(UnsafePickle, match=r"posix\.system"):
        read(FORMS[form])


@pytest.mark.parametrize(
    "name", ["posix.system", "subprocess.Popen", "__builtin__.getattr", "builtins.type", "importlib.import_module"]
)
def test_names_only_an_attack_needs_are_refused_on_sight(name: str) -> None:
    module, _, last = name.rpartition(".")
    content = f"c{module}\n{last}\n".encode()
    for pickled in (content + b".", b"}" + text("never called") + content + b"s.", content + b")R."):
        with pytest.raises(UnsafePickle, match=rf"names [a-z]+\.{last}"):
            read(pickled)


@pytest.mark.parametrize("protocol", range(6))
def test_objects_of_unknown_classes_become_inert(protocol: int) -> None:
    loud = Loud.__new__(Loud)
    loud.volume = 3
    Loud.heard.clear()
    found = read(pickle.dumps({"thing": loud, "when": datetime.timedelta(1)}, protocol))
    assert isinstance(found["thing"], Inert)
    assert found["thing"].name.endswith("Loud")
    assert found["thing"].state == {"volume": 3}
    assert found["when"].name == "datetime.timedelta"
    assert Loud.heard == [], "nothing of the class may run"
    assert not callable(found["thing"])


class Loud:
    """Notes whatever is done with it."""

    heard: list[str] = []  # noqa: RUF012
    volume: int

    def __init__(self) -> None:
        self.heard.append("init")

    def __setstate__(self, state: dict[str, int]) -> None:
        self.heard.append("setstate")

    def __del__(self) -> None:
        self.heard.append("del")


def test_a_harmless_name_alone_is_kept_as_a_name() -> None:
    found = read(b"ctorch.cuda.amp.grad_scaler\n_refresh_per_optimizer_state\n.")
    assert isinstance(found, Global)
    assert found.name == "torch.cuda.amp.grad_scaler._refresh_per_optimizer_state"


def test_items_put_into_an_inert_object_are_dropped() -> None:
    assert isinstance(read(b"c__main__\nMyDict\n)R" + text("key") + text("value") + b"s."), Inert)


def test_nested_tuples_as_keys_cannot_hang_the_reader() -> None:
    doubled = b"K\x01" + b"2\x86" * 100  # each pair holds the one before twice: 2**100 leaves to hash
    for holder in (b"}" + doubled + b"Ns.", b"\x80\x04\x8f(" + doubled + b"\x90.", b"\x80\x04(" + doubled + b"\x91."):
        with pytest.raises(CheckpointError, match="key"):
            read(holder)
    with pytest.raises(CheckpointError, match="a tuple"):
        read(doubled + b"}b.")  # nor is it shown


def test_deep_nesting_needs_no_recursion() -> None:
    found = read(b"]" * 100_000 + b"a" * 99_999 + b".")
    assert len(found) == 1


def test_too_many_operations_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MOST_OPERATIONS", 100)
    with pytest.raises(CheckpointError, match="more than 100 operations"):
        read(pickle.dumps(list(range(1000)), 2))


def test_lengths_beyond_the_end_are_refused() -> None:
    for content in (
        b"B\xff\xff\xff\xff.",
        b"\x8d" + b"\xff" * 7 + b"\x0f.",
        b"\x8b\xff\xff\xff\x7f.",
        b"X\xff\xff\xff\x7fa.",
    ):
        with pytest.raises(CheckpointError, match="damaged"):
            read(content)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b".", b"(.", b"R.", b"\x80\x02", b"h\x05.", b"t.", b"0.", b"]", b"K\x01\x87."]
)
def test_broken_pickles_are_refused(content: bytes) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        read(content)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damage_gives_a_value_or_a_checkpoint_error_and_nothing_else(data: st.DataObject) -> None:
    content = bytearray(
        pickle.dumps({"a": [1, 2.5, "x", (None, True)], "b": OrderedDict(c={1, 2})}, data.draw(st.integers(0, 5)))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(CheckpointError):
        read(bytes(content))
