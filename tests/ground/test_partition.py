"""Near-equal spans."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ist_mpi.partition import owners, spans


@given(total=st.integers(0, 10**6), parts=st.integers(1, 500))
def test_spans_cover_everything_nearly_equally(total: int, parts: int) -> None:
    edges = spans(total, parts)
    sizes = np.diff(edges)
    assert (edges[0], edges[-1], len(sizes)) == (0, total, parts)
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(sizes) <= 0).all()


def test_owners_name_the_span_of_every_item() -> None:
    assert owners(spans(7, 3)).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert owners(spans(2, 4)).tolist() == [0, 1]
