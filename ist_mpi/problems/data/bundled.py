"""Data sets that come with scikit-learn, which reads data sets here."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError

Float64 = NDArray[np.float64]


def bundled(name: str) -> tuple[Float64, Float64]:
    """One of the data sets that come with scikit-learn."""
    datasets = sklearn_datasets()
    bunch = getattr(datasets, f"load_{name}")()
    return np.asarray(bunch.data, dtype=np.float64), np.asarray(bunch.target, dtype=np.float64)


def sklearn_datasets() -> Any:
    """scikit-learn's module of data sets; raises InputError where there is none."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise InputError(
            Fault(
                "problem.kind",
                '"ridge" without scikit-learn',
                "an installed scikit-learn, which reads the data sets",
                'python -m pip install "ist_mpi[data]"',
            )
        ) from error
    return datasets
