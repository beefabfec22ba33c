"""The guard: what is read of an HDF5 file, and what a file must be for that.

Only the names that the caller wants are looked at. They are reached by hard links; an array is a
dataset of plain numbers of the wanted kind and rank, stored in the file itself, whole, in chunks of
bounded size, under no filters but shuffle, deflate, lzf and Fletcher's checksum; an attribute is
one number or one text. So nothing leads out of the file, no code is loaded, and what is read has
the size that the file can hold.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t, h5z
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.store.files import EXPANSION, Limit
from ist_mpi.store.hdf5.types import BROKEN, expected_of, type_name
from ist_mpi.store.hdf5.wanted import Array, Wanted

MAX_CHUNK = 256 << 20
"""Bytes of a chunk, which HDF5 always has in memory whole."""
MAX_CHUNKS = 1 << 20
MAX_MEMBERS = 1 << 12
"""Arrays or attributes of a group that are read without being named."""
SMALL = 64 << 20
"""Bytes of an array that are read however few of them are in the file."""

PLAIN = {h5z.FILTER_SHUFFLE: "shuffle", h5z.FILTER_FLETCHER32: "fletcher32"}
PACKING = {h5z.FILTER_DEFLATE: "deflate", h5z.FILTER_LZF: "lzf"}

_ATTRIBUTES = {
    "text": (h5t.STRING,),
    "integer": (h5t.INTEGER,),
    "number": (h5t.INTEGER, h5t.FLOAT),
    "number or text": (h5t.INTEGER, h5t.FLOAT, h5t.STRING),
}


class Stamp(NamedTuple):
    """What tells that a file is still the one that was checked."""

    size: int
    modified: int
    """Nanoseconds since 1970."""


class Reader:
    """An open file, of which the wanted arrays and attributes can be read; see `hdf5.reading`.

    Parameters
    ----------
    file : h5py.File
    path : Path
        For messages.
    stamp : Stamp
        Of the file.
    wanted : Wanted
    limit : Limit
        Largest number of bytes of an array.
    error : type
        The class of what is raised.
    packed : bool
        Whether arrays may be compressed. What a chunk unpacks to is not bounded by its size, so
        such a file must have been read before in a process of bounded memory.
    """

    def __init__(
        self,
        file: Any,
        path: Path,
        stamp: Stamp,
        wanted: Wanted,
        limit: Limit,
        error: type[InputError],
        packed: bool,
    ) -> None:
        self.path, self.stamp = path, stamp
        self._file, self._wanted, self._limit, self._error = file, wanted, limit, error
        self._filters = PLAIN | PACKING if packed else PLAIN
        self._found: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        """Whether a wanted array is there; raises if it is not as wanted."""
        return self._dataset(name) is not None

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array."""
        shape: tuple[int, ...] = self._present(name).shape
        return shape

    def array(self, name: str, selection: Any = (), dtype: Any = None) -> NDArray[Any]:
        """An array or a selection of it, as stored or as `dtype`, contiguous."""
        found = self._present(name)
        with self._whole(name):
            return np.asarray(np.ascontiguousarray(found[selection], dtype=dtype))

    def arrays(self, group: str) -> dict[str, NDArray[Any]]:
        """The wanted arrays of a group that are there, by their names in it."""
        names = [name for name in self._names() if name.rpartition("/")[0] == group]
        return {name.rpartition("/")[2]: self.array(name) for name in names if name in self}

    def _names(self) -> Iterator[str]:
        """The wanted arrays, each group's ``*`` as the names that are there."""
        for wanted in self._wanted.arrays:
            if not wanted.endswith("/*"):
                yield wanted
                continue
            group = wanted.removesuffix("/*")
            with self._whole(group):
                node = self._node(group)
                names = [] if node is None else self._members(group, node, node.get_num_objs())
            named = (f"{group}/{name}" for name in names)
            yield from (name for name in named if name not in self._wanted.arrays)

    def _members(self, group: str, node: Any, count: int) -> list[str]:
        """What there is in a group."""
        if count > MAX_MEMBERS:
            self.refuse(group, f"{count} members", f"at most {MAX_MEMBERS}")
        return [name.decode() for name in node]

    def attributes(self, group: str = "") -> dict[str, Any]:
        """The wanted attributes of a group that are there: str, int and float."""
        values = {}
        with self._whole(group):
            node = self._node(group)
            if node is None:
                return {}
            if not isinstance(node, h5g.GroupID):
                self.refuse(group, "no group", "a group")
            for name, kind in self._kinds(group, node):
                if h5a.exists(node, name.encode()):
                    values[name] = self._attribute(node, f"{group}@{name}", name, kind)
        return values

    def check(self, before: Callable[[int], None]) -> None:
        """Look at everything wanted that is there, and read all that is small or compressed.

        What is neither has been bounded by then; reading it takes no more than its own size.
        Calls ``before(bytes)`` before looking at each array and reading so many bytes of it.
        """
        for group in self._wanted.attributes:
            self.attributes(group)
        for name in self._names():
            before(0)
            with self._whole(name):
                there = self._node(name) is not None
            if there:
                self._read_through(name, before)

    def refuse(self, name: str, got: str, expected: str, remedy: str = "") -> NoReturn:
        """Raise what is raised for a part of the file, of the class of this reader's errors."""
        where = f"{self.path}:/{name}" if name else str(self.path)
        raise self._error(Fault(where, got, expected, remedy))

    @contextmanager
    def _whole(self, name: str) -> Iterator[None]:
        """What HDF5 cannot make sense of, as this reader's error."""
        try:
            yield
        except InputError:
            raise
        except BROKEN as error:
            text = " ".join(str(error).split())[:300] or type(error).__name__
            self.refuse(name, f"data that cannot be read ({text})", "whole data")

    def _node(self, name: str) -> Any:
        """The object at a path of hard links, opened; None if there is none."""
        node = h5g.open(self._file.id, b"/")
        parts = name.split("/") if name else []
        for depth, part in enumerate(parts, start=1):
            here = "/".join(parts[:depth])
            if not isinstance(node, h5g.GroupID):
                self.refuse("/".join(parts[: depth - 1]), "no group", "a group")
            if not node.links.exists(part.encode()):
                return None
            kind = node.links.get_info(part.encode()).type
            if kind != h5l.TYPE_HARD:
                got = {h5l.TYPE_SOFT: "a soft link", h5l.TYPE_EXTERNAL: "an external link"}
                self.refuse(here, got.get(kind, "a user-defined link"), "data in the file itself")
            node = h5o.open(node, part.encode())
        return node

    def _kinds(self, group: str, node: Any) -> Iterator[tuple[str, str]]:
        """The wanted attributes of a group, ``*`` as the names that are there."""
        kinds = self._wanted.attributes[group]
        yield from ((name, kind) for name, kind in kinds.items() if name != "*")
        if "*" not in kinds:
            return
        count = h5a.get_num_attrs(node)
        if count > MAX_MEMBERS:
            self.refuse(group, f"{count} attributes", f"at most {MAX_MEMBERS}")
        for index in range(count):
            name = h5a.open(node, index=index).name.decode()
            if name not in kinds:
                yield name, kinds["*"]

    def _attribute(self, node: Any, where: str, name: str, kind: str) -> str | int | float:
        found = h5a.open(node, name.encode())
        stored = found.get_type()
        of, scalar = stored.get_class(), found.shape == ()
        fits = of in _ATTRIBUTES[kind]
        if not (fits and scalar) or found.get_space().get_simple_extent_type() != h5s.SCALAR:
            got = f"{type_name(stored)}{'' if scalar else f' of shape {found.shape}'}"
            self.refuse(where, got, f"one {kind}")
        value = h5py.Group(node).attrs[name]
        if isinstance(value, bytes):
            value = value.decode()
        plain: Any = value.item() if isinstance(value, np.generic) else value
        if of == h5t.STRING and not isinstance(plain, str):
            self.refuse(where, type(plain).__name__, "one text")
        return cast("str | int | float", plain)

    def _spec(self, name: str) -> Array:
        """What an array must be."""
        found = self._wanted.arrays.get(name)
        return found or self._wanted.arrays[name.rpartition("/")[0] + "/*"]

    def _present(self, name: str) -> Any:
        found = self._dataset(name)
        if found is None:
            self.refuse(name, "nothing", expected_of(self._spec(name)))
        return found

    def _dataset(self, name: str) -> Any:
        """A wanted array as h5py's dataset, judged; None if there is none and need not be."""
        if name not in self._found:
            with self._whole(name):
                self._found[name] = self._judged(name, self._spec(name))
        return self._found[name]

    def _judged(self, name: str, array: Array) -> Any:
        expected = expected_of(array)
        node = self._node(name)
        if node is None:
            if array.required:
                self.refuse(name, "nothing", expected)
            return None
        if not isinstance(node, h5d.DatasetID):
            got = "a group" if isinstance(node, h5g.GroupID) else "a named type"
            self.refuse(name, got, expected)
        plist = node.get_create_plist()
        # Before its dataspace is asked for: that would open the files of a virtual dataset.
        if plist.get_layout() == h5d.VIRTUAL:
            self.refuse(name, "a virtual dataset", "data in the file itself")
        if plist.get_external_count() > 0:
            self.refuse(name, "data in other files (external storage)", "data in the file itself")
        self._judge_type(name, node, array)
        self._judge_filters(name, plist)
        self._judge_storage(name, node, plist)
        return h5py.Dataset(node)

    def _judge_type(self, name: str, node: Any, array: Array) -> None:
        stored, space = node.get_type(), node.get_space()
        simple = space.get_simple_extent_type() in (h5s.SIMPLE, h5s.SCALAR)
        shape = space.get_simple_extent_dims() if simple else None
        number = stored.get_class() in (h5t.INTEGER, h5t.FLOAT)
        if number and stored.get_size() > 8:
            self.refuse(name, f"numbers of {stored.get_size()} bytes", "at most 8 bytes a number")
        fits = number and stored.dtype.kind in array.kinds
        thin = shape is not None and array.vector and len(shape) == 2 and min(shape) == 1
        if not fits or shape is None or (len(shape) != array.ndim and not thin):
            of = "an empty dataspace" if shape is None else f"shape {shape}"
            self.refuse(name, f"{type_name(stored)} of {of}", expected_of(array))

    def _judge_filters(self, name: str, plist: Any) -> None:
        for i in range(plist.get_nfilters()):
            code, _, _, title = plist.get_filter(i)
            if code not in self._filters:
                label = bytes(title).decode(errors="replace")[:40] or "unnamed"
                known = ", ".join(self._filters.values())
                self.refuse(name, f"filter {code} ({label})", f"no filters but {known}")

    def _judge_storage(self, name: str, node: Any, plist: Any) -> None:
        """Bound what HDF5 will need for it by what is in the file."""
        shape, itemsize = node.shape, node.get_type().get_size()
        declared, stored = math.prod(shape) * itemsize, node.get_storage_size()
        if declared > self._limit.value:
            got = f"shape {shape}, {declared} bytes"
            self.refuse(name, got, f"at most {self._limit.text}", self._limit.remedy)
        if stored > self.stamp.size:
            got = f"{stored} bytes of data in a file of {self.stamp.size}"
            self.refuse(name, got, "data in the file itself")
        needed = declared
        if plist.get_layout() == h5d.CHUNKED:
            needed = max(declared, self._judge_chunks(name, node, plist, itemsize))
        elif stored < declared:
            got = f"{stored} bytes of data for {declared}: it was not written"
            self.refuse(name, got, "whole data")
        if needed > max(SMALL, stored * EXPANSION.value):
            got = f"{stored} bytes of data that expand to {needed}"
            self.refuse(name, got, f"at most {EXPANSION.value} times as many", EXPANSION.remedy)

    def _judge_chunks(self, name: str, node: Any, plist: Any, itemsize: int) -> int:
        """The bytes of a chunk."""
        chunk = plist.get_chunk()
        size: int = math.prod(chunk) * itemsize
        if size > MAX_CHUNK:
            self.refuse(name, f"chunks of {size} bytes", f"chunks of at most {MAX_CHUNK} bytes")
        sides = zip(node.shape, chunk, strict=True)
        number = math.prod(-(-extent // side) for extent, side in sides)
        if number > MAX_CHUNKS:
            self.refuse(name, f"{number} chunks", f"at most {MAX_CHUNKS} chunks")
        written = node.get_num_chunks() if number else 0
        if written != number:
            self.refuse(name, f"{written} of {number} chunks: not all were written", "whole data")
        return size

    def _read_through(self, name: str, before: Callable[[int], None]) -> None:
        """Read what HDF5 could be brought to grief by reading, a piece at a time."""
        found = self._present(name)
        with self._whole(name):
            if found.nbytes <= SMALL:
                before(found.nbytes)
                found[()]
            elif found.compression is not None:
                before(found.nbytes)
                for piece in found.iter_chunks():
                    found[piece]
