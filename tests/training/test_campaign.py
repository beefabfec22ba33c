"""Random configurations on 1 to 5 ranks, whole or stopped on some and resumed on others: one log.

IST_TESTS=full runs 300 of them on 1, 2, 3, 4 and 5 ranks, else a few on 1, 2 and 3.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import campaign
import pytest
from mpi4py import MPI
from thinned import FULL

COUNT, PS = (300, [1, 2, 3, 4, 5]) if FULL else (5, [1, 2, 3])
SECONDS = 3600 if FULL else 300
"""Longest time of all runs on a number of ranks."""


@pytest.mark.filterwarnings("ignore:form = ")
@pytest.mark.timeout(9 * SECONDS)
def test_random_configurations(launch: Callable[..., Any], tmp_path: Path) -> None:
    campaign.prepare(tmp_path, COUNT)
    for which in ("first", "last"):
        for p in PS if which == "first" else PS[:-1]:
            if p == 1:
                campaign.visit(MPI.COMM_SELF, tmp_path, PS, which == "last")
            elif FULL or which == "first":
                arguments = str(tmp_path), ",".join(map(str, PS)), which
                done = launch(p, campaign.__file__, *arguments, timeout=SECONDS)
                assert done.returncode == 0, done.stderr
    seen: Counter[str] = Counter()
    for number, (config, kept) in enumerate(campaign.configurations(tmp_path)):
        expected = campaign.contents(tmp_path / f"{number}-1.h5")
        for p in PS[1:]:
            assert campaign.contents(tmp_path / f"{number}-{p}.h5") == expected, (p, config, kept)
        again = campaign.contents(tmp_path / f"{number}-stopped.h5")
        assert again == expected, (campaign.stops(number, PS), config, kept)
        seen[kept] += 1
        seen[expected["@status"]] += 1
    print(dict(seen))
    assert seen.total() == 2 * COUNT
