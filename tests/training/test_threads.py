"""Several runs at once in threads of one process."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

from same import same_run
from threadpoolctl import threadpool_info

import ist_mpi
from ist_mpi.store import hdf5
from ist_mpi.threads import Shared, one_thread


def configuration(seed: int) -> dict[str, Any]:
    return {
        "problem": {"kind": "synthetic", "d": 12, "n": 3},
        "method": {"name": "ist", "step_size": 1e-3},
        "run": {"rounds": 20, "seed": seed},
    }


def test_runs_at_once_are_those_of_one_after_another(tmp_path: Path) -> None:
    logs = [tmp_path / f"{seed}.h5" for seed in range(4)]
    alone = [ist_mpi.run(configuration(seed)) for seed in range(4)]
    start = Barrier(4, timeout=60)

    def run(seed: int) -> None:
        start.wait()
        ist_mpi.run(configuration(seed), out=logs[seed])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(4)))
    for log, expected in zip(logs, alone, strict=True):
        same_run(ist_mpi.open_run(log), expected)


def test_images_are_made_while_others_are() -> None:
    inner: list[bytes] = []

    def fill(_: Any) -> None:
        inner.append(hdf5.image(lambda file: file.create_group("inside")))

    assert hdf5.image(fill) != inner[0]


def test_who_goes_last_leaves_what_who_came_first_entered() -> None:
    events: list[str] = []

    @contextmanager
    def context() -> Any:
        events.append("in")
        yield
        events.append("out")

    shared = Shared(context)
    first, second = ExitStack(), ExitStack()
    first.enter_context(shared())
    second.enter_context(shared())
    first.close()
    assert events == ["in"]
    second.close()
    first.enter_context(shared())
    first.close()
    assert events == ["in", "out", "in", "out"]
    with one_thread():
        assert {pool["num_threads"] for pool in threadpool_info()} <= {1}
