"""The door to HDF5: files written whole, and files of others read with care.

Writing: `image` makes the bytes of a file in memory, with a digest at their end (`seal`), out of
`write_array` and `write_attributes`; `files.replace` puts them on their path in one step.

Reading: `reading` opens a file for a `Reader` of what is `Wanted` of it. Its bytes are checked
before HDF5 sees them, by their digest, or, where there is none, by another process that reads the
file first (`probe`); what is read is what was wanted, and lies in the file (`guard`). `verify`
checks the digest alone.

An array problem's L, for instance:

    wanted = Wanted(arrays={"L": Array(ndim=3)}, attributes={"": {"seed": "integer"}})
    with reading(path, wanted, ARRAYS_BYTES) as file:
        file.attributes()["seed"], file.shape("L"), file.array("L", selection=0)
"""

import h5py

from ist_mpi.store.hdf5.guard import Reader, Stamp
from ist_mpi.store.hdf5.opening import in_memory, reading, verify
from ist_mpi.store.hdf5.wanted import Array, Wanted
from ist_mpi.store.hdf5.writing import image, write_array, write_attributes

VERSION: str = h5py.version.hdf5_version
H5PY_VERSION: str = h5py.version.version

__all__ = [
    "H5PY_VERSION",
    "VERSION",
    "Array",
    "Reader",
    "Stamp",
    "Wanted",
    "image",
    "in_memory",
    "reading",
    "verify",
    "write_array",
    "write_attributes",
]
