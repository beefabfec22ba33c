"""Types of HDF5 in words, and what h5py raises where there are no words."""

from typing import Any

from h5py import h5t

from ist_mpi.store.hdf5.wanted import Array

BROKEN = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    SystemError,
)
"""What h5py raises for files that HDF5 cannot make sense of."""

_KINDS = {"f": "floating-point", "i": "integer", "u": "unsigned integer"}
_CLASSES = {
    h5t.COMPOUND: "compound data",
    h5t.REFERENCE: "references",
    h5t.VLEN: "variable-length data",
    h5t.STRING: "text",
    h5t.ENUM: "an enumeration",
    h5t.ARRAY: "arrays as elements",
    h5t.OPAQUE: "opaque data",
    h5t.BITFIELD: "bit fields",
    h5t.TIME: "times",
}


def expected_of(array: Array) -> str:
    """What a wanted array is."""
    kinds = "real" if len(array.kinds) == len(_KINDS) else _KINDS[array.kinds]
    return f"a dataset of {kinds} numbers with {array.ndim} dimension(s)"


def type_name(stored: Any) -> str:
    """A type in a few words."""
    try:
        name = str(stored.dtype)[:60]
    except BROKEN:
        name = "of no type known here"
    of = _CLASSES.get(stored.get_class())
    return name if of is None else f"{of} ({name})"
