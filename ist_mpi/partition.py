"""Near-equal spans: workers over ranks, rows over ranks, samples over workers.

One rule everywhere: `total` items in order, in `parts` neighbouring spans, the first
``total % parts`` of them one item longer.
"""

import numpy as np
from numpy.typing import NDArray


def spans(total: int, parts: int) -> NDArray[np.int64]:
    """Edges of near-equal neighbouring spans.

    Parameters
    ----------
    total : int
        Number of items, at least 0.
    parts : int
        Number of spans, at least 1; spans beyond `total` are empty.

    Returns
    -------
    ndarray of int64, shape (parts + 1,)
        Span r is ``edges[r]:edges[r + 1]``.

    Examples
    --------
    >>> spans(10, 4).tolist()
    [0, 3, 6, 8, 10]
    """
    quotient, remainder = divmod(total, parts)
    part = np.arange(parts + 1, dtype=np.int64)
    return part * quotient + np.minimum(part, remainder)


def owners(edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """The span that holds each item: shape (edges[-1],), e.g. the rank of every worker."""
    return np.repeat(np.arange(edges.size - 1, dtype=np.int64), np.diff(edges))
