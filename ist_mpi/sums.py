"""Sums that do not depend on the order of what is added up."""

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

_SCALE = 2.0**-64


def exact_sum(values: Sequence[float] | NDArray[Any]) -> float:
    """The sum of numbers, rounded once; infinite where it is beyond float64, NaN for inf − inf.

    `math.fsum` raises an error in these two cases, and where only a part of the sum is beyond.
    """
    try:
        return math.fsum(values)
    except OverflowError:
        return math.fsum(_SCALE * float(value) for value in values) / _SCALE
    except ValueError:
        return math.nan
