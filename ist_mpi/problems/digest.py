"""What the workers' data are, in one word: the same for the same data, whatever is made of them.

It is of the data themselves, before any product: how those are added up may differ from one
library, or processor, to the next.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def of_arrays(arrays: Iterable[Any]) -> str:
    """SHA-256 of the shapes and the numbers of arrays, sparse ones (CSR) as they are stored."""
    digest = hashlib.sha256()
    for array in arrays:
        parts: list[NDArray[Any]] = [array]
        if sparse.issparse(array):
            parts = [array.data, *(part.astype(np.int64) for part in (array.indices, array.indptr))]
        elif array.dtype.kind == "O":  # names
            words = [str(word).encode() for word in array]
            lengths = np.array([len(word) for word in words], dtype=np.int64)
            parts = [lengths, np.frombuffer(b"".join(words), dtype=np.uint8)]
        digest.update(repr(array.shape).encode())
        for part in parts:
            if part.size:  # a view of nothing cannot be cast
                digest.update(np.ascontiguousarray(part).data.cast("B"))
    return digest.hexdigest()


def of_words(words: Iterable[str]) -> str:
    """SHA-256 of several of these, in their order."""
    return hashlib.sha256(" ".join(words).encode()).hexdigest()
