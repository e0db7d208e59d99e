"""A pickle read as data: a small machine follows its instructions, imports nothing and calls nothing foreign.

Python's own unpickler looks names up and calls them; restricting the look-up still leaves it ``setattr`` on whatever
was let in. Here a name in the file stays a name (:class:`Global`). Making an object of it gives

* the value, where the name is one of the constructors handed in (containers, tensors, numpy numbers);
* an :class:`Inert` stand-in, where the name is a class by its spelling: kept, never run;
* :class:`UnsafePickle` otherwise: an unknown function is being called.

Names of Python's standard library (``os.system``, ``builtins.exec``, ...) are refused on sight, but for a few modules
of plain data: only an attack has a use for them in a checkpoint.
"""

import pickletools
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, Any

from telltime.checkpoints.errors import CheckpointError, UnsafePickle

MOST_OPERATIONS = 4_000_000  # a checkpoint of 10,000 tensors with Adam's state takes about a quarter
Constructors = Mapping[str, Callable[..., Any]]
_HARMLESS = frozenset(
    [
        "argparse",
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "pathlib",
        "uuid",
    ]
)  # of the standard library, whose other names are refused on sight
_PLAIN_TYPES = frozenset(
    f"builtins.{kind.__name__}" for kind in (bool, bytes, dict, float, int, list, object, range, slice, str, tuple)
)
_LOWER_CASE_CLASSES = frozenset(["datetime.date", "datetime.datetime", "datetime.timedelta", "functools.partial"])
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # Python 2's modules, as protocol 2 writes them
_KEY = (str, int, float, complex, bytes, type(None))


class Global:
    """A name the file refers to, e.g. ``"torch.FloatStorage"``; never looked up."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<name {self.name}>"


class Inert:
    """Stands where the file wanted an object of an unknown class: what it would have been made of, and no behaviour."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: tuple[Any, ...] = ()) -> None:
        self.name = name
        self.args = args
        self.state: Any = None

    def __repr__(self) -> str:
        return f"<inert {self.name}>"


def unpickle(
    stream: IO[bytes],
    constructors: Constructors | None = None,
    builders: Mapping[type, Callable[[Any, Any], None]] | None = None,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The object one pickle (protocol 0 to 5) describes; the stream is left right behind it.

    Args:
        stream: file opened for binary reading.
        constructors: full name to the function that makes the value, beside those for plain containers.
        builders: type of a value to the function that takes the state set on it afterwards.
        persistent: what an identifier of outside data (a storage) stands for.

    Raises:
        UnsafePickle: it asks for something that could run code.
        CheckpointError: it is damaged or too large.
    """
    machine = _Machine({**_CONTAINERS, **(constructors or {})}, builders or {}, persistent)
    try:
        for count, (opcode, arg, _) in enumerate(pickletools.genops(stream)):
            if count >= MOST_OPERATIONS:
                raise CheckpointError(f"its pickle has more than {MOST_OPERATIONS:,} operations")
            follow = getattr(machine, f"op_{opcode.name.lower()}", None)
            if follow is None:
                raise CheckpointError(f"its pickle uses {opcode.name}, which no checkpoint needs")
            follow(arg)
        return machine.stack.pop()
    except CheckpointError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, EOFError) as error:
        raise CheckpointError(f"its pickle is damaged ({error})") from error


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1", "ascii", "utf-8"):
        raise CheckpointError(f"its pickle encodes bytes as {encoding!r}, expected latin1")
    return text.encode(encoding)


def _bytearray(content: str | bytes = b"", encoding: str = "latin1") -> bytearray:
    if not isinstance(content, str | bytes):
        raise CheckpointError("its pickle makes a bytearray of something other than bytes")
    return bytearray(_encode(content, encoding) if isinstance(content, str) else content)


def _counter(counts: dict[Any, Any] | None = None) -> Counter[Any]:
    return Counter(_pairs(list((counts or {}).items())))


def _pairs(items: Any = ()) -> dict[Any, Any]:
    return {_hashable(key): value for key, value in items}


def _hashable(key: Any) -> Any:
    """``key``, if hashing it is sure to be quick and to run nothing: a scalar, a name, or a flat tuple of scalars."""
    flat = type(key) is tuple and all(isinstance(part, _KEY) for part in key)
    if not (flat or isinstance(key, (*_KEY, Global, Inert))):
        raise CheckpointError(f"its pickle uses a {type(key).__name__} of objects as a key")
    return key


def _shown(value: Any) -> str:
    """A value for an error message; never its contents, which may be nested without end."""
    return repr(value) if isinstance(value, Global | Inert) else f"a {type(value).__name__}"


_CONTAINERS: Constructors = {
    "collections.OrderedDict": lambda items=(): OrderedDict(_pairs(items)),
    "collections.defaultdict": lambda factory=None, items=(): _pairs(items),
    "collections.Counter": _counter,
    "builtins.set": lambda items=(): {_hashable(item) for item in items},
    "builtins.frozenset": lambda items=(): frozenset(_hashable(item) for item in items),
    "builtins.bytearray": _bytearray,
    "builtins.bytes": lambda content=b"": bytes(_bytearray(content)),
    "builtins.complex": lambda real=0.0, imag=0.0: complex(float(real), float(imag)),
    "_codecs.encode": _encode,
    "copyreg._reconstructor": lambda cls, base, state: Inert(cls.name, (state,)),
    "copyreg.__newobj__": lambda cls, *args: Inert(cls.name, args),
}


class _Machine:
    """The pickle machine: a stack, marks and a memo. ``op_*`` methods carry the names of pickle's instructions."""

    def __init__(
        self,
        constructors: Constructors,
        builders: Mapping[type, Callable[[Any, Any], None]],
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.constructors = constructors
        self.builders = builders
        self.persistent = persistent

    def name(self, module: str, name: str) -> Global:
        full = f"{_RENAMED.get(module, module)}.{name}".replace("numpy._core.", "numpy.core.")
        root = full.split(".")[0]
        known = full in self.constructors or full in _PLAIN_TYPES or root in _HARMLESS
        if root in sys.stdlib_module_names and not known:
            raise UnsafePickle(f"its pickle names {full}, which could run code; refused, nothing was run")
        return Global(full)

    def make(self, what: Any, args: Any) -> Any:
        """The value of calling ``what``: by a constructor handed in, or a stand-in."""
        if not isinstance(what, Global) or type(args) is not tuple:
            raise UnsafePickle(f"its pickle calls {_shown(what)}, which is no class; refused, nothing was run")
        if what.name in self.constructors:
            return self.constructors[what.name](*args)
        last = what.name.rpartition(".")[2].lstrip("_")
        if last[:1].isupper() or what.name in _LOWER_CASE_CLASSES:
            return Inert(what.name, args)
        raise UnsafePickle(f"its pickle calls {what.name}, which is not known to be harmless; refused, nothing was run")

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def push(self, value: Any) -> None:
        self.stack.append(value)

    # Names, calls and state: the instructions an attack is made of.
    def op_global(self, arg: str) -> None:
        self.push(self.name(*arg.split(" ", 1)))

    def op_stack_global(self, arg: None) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise CheckpointError("its pickle names something by other than text")
        self.push(self.name(module, name))

    def op_reduce(self, arg: None) -> None:
        args, what = self.stack.pop(), self.stack.pop()
        self.push(self.make(what, args))

    op_newobj = op_reduce

    def op_newobj_ex(self, arg: None) -> None:
        named, args, what = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.push(self.make(what, (*args, *dict(named).values())))

    def op_inst(self, arg: str) -> None:
        self.push(self.make(self.name(*arg.split(" ", 1)), tuple(self.since_mark())))

    def op_obj(self, arg: None) -> None:
        what, *args = self.since_mark()
        self.push(self.make(what, tuple(args)))

    def op_build(self, arg: None) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, Inert):
            made.state = state
            return
        for kind, build in self.builders.items():
            if isinstance(made, kind):
                build(made, state)
                return
        if not isinstance(made, dict):  # the attributes of a dict (state_dict's _metadata) are not needed
            raise UnsafePickle(f"its pickle sets the state of {_shown(made)}; refused, nothing was run")

    def op_binpersid(self, arg: None) -> None:
        if self.persistent is None:
            raise CheckpointError("its pickle refers to outside data where there is none")
        self.push(self.persistent(self.stack.pop()))

    # Containers.
    def op_append(self, arg: None) -> None:
        self.extend([self.stack.pop()])

    def op_appends(self, arg: None) -> None:
        self.extend(self.since_mark())

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(items)
        elif not isinstance(self.stack[-1], Inert):
            raise CheckpointError(f"its pickle appends to {_shown(self.stack[-1])}")

    def op_setitem(self, arg: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.update([key, value])

    def op_setitems(self, arg: None) -> None:
        self.update(self.since_mark())

    def update(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(_pairs(zip(items[::2], items[1::2], strict=True)))
        elif not isinstance(self.stack[-1], Inert):
            raise CheckpointError(f"its pickle sets items of {_shown(self.stack[-1])}")

    def op_additems(self, arg: None) -> None:
        items = self.since_mark()
        if type(self.stack[-1]) is not set:
            raise CheckpointError(f"its pickle adds items to {_shown(self.stack[-1])}")
        self.stack[-1].update(_hashable(item) for item in items)

    def op_empty_list(self, arg: None) -> None:
        self.push([])

    def op_empty_dict(self, arg: None) -> None:
        self.push({})

    def op_empty_set(self, arg: None) -> None:
        self.push(set())

    def op_empty_tuple(self, arg: None) -> None:
        self.push(())

    def op_list(self, arg: None) -> None:
        self.push(self.since_mark())

    def op_dict(self, arg: None) -> None:
        items = self.since_mark()
        self.push({})
        self.update(items)

    def op_frozenset(self, arg: None) -> None:
        self.push(frozenset(_hashable(item) for item in self.since_mark()))

    def op_tuple(self, arg: None) -> None:
        self.push(tuple(self.since_mark()))

    def op_tuple1(self, arg: None, size: int = 1) -> None:
        if len(self.stack) < size:
            raise IndexError("too few values for a tuple")
        self.stack[-size:] = [tuple(self.stack[-size:])]

    def op_tuple2(self, arg: None) -> None:
        self.op_tuple1(arg, 2)

    def op_tuple3(self, arg: None) -> None:
        self.op_tuple1(arg, 3)

    # Constants: pickletools has decoded the argument.
    def op_int(self, arg: Any) -> None:
        self.push(arg)

    op_binint = op_binint1 = op_binint2 = op_long = op_long1 = op_long4 = op_float = op_binfloat = op_int
    op_string = op_binstring = op_short_binstring = op_unicode = op_binunicode = op_short_binunicode = op_int
    op_binunicode8 = op_binbytes = op_short_binbytes = op_binbytes8 = op_bytearray8 = op_int

    def op_none(self, arg: None) -> None:
        self.push(None)

    def op_newtrue(self, arg: None) -> None:
        self.push(True)

    def op_newfalse(self, arg: None) -> None:
        self.push(False)

    # The stack and the memo.
    def op_mark(self, arg: None) -> None:
        self.marks.append(len(self.stack))

    def op_pop(self, arg: None) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def op_pop_mark(self, arg: None) -> None:
        self.since_mark()

    def op_dup(self, arg: None) -> None:
        self.push(self.stack[-1])

    def op_put(self, arg: int) -> None:
        self.memo[arg] = self.stack[-1]

    op_binput = op_long_binput = op_put

    def op_memoize(self, arg: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def op_get(self, arg: int) -> None:
        self.push(self.memo[arg])

    op_binget = op_long_binget = op_get

    def op_proto(self, arg: int) -> None:
        """Nothing depends on the protocol or on frames."""

    op_frame = op_stop = op_proto
