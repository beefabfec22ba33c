"""What durability costs; prints two figures: python tests/shared/cost.py [ROUNDS]

1. The share of a run at d = 1000, n = 10, with default settings, spent on logs and checkpoints.
2. A checkpoint of a state of 100 MB against a plain write and fsync of the same bytes.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from checkpoints import One

import ist_mpi
from ist_mpi.parallel.team import Team
from ist_mpi.store import log as runlog
from ist_mpi.training import checkpoint, record


def share_of_a_run(rounds: int, folder: Path) -> None:
    """Time every commit and every checkpoint of one run."""
    spent = {"commit": [0, 0.0], "save": [0, 0.0]}

    def timed(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[name][0] += 1
                spent[name][1] += time.perf_counter() - began

        setattr(owner, name, call)

    def save(self: Any, k: int) -> None:
        inside.append(spent["commit"][1])
        saved(self, k)
        inside[-1] = spent["commit"][1] - inside[-1]

    inside: list[float] = []
    saved = record.Record.save
    record.Record.save = save  # type: ignore[method-assign]  # on purpose
    timed(runlog.RunLog, "commit")
    timed(record.Record, "save")
    config = {
        "problem": {"kind": "synthetic", "d": 1000, "n": 10},
        "method": {"name": "ist", "step_size": 1e-6},
        "run": {"rounds": rounds},
    }
    result = ist_mpi.run(config, out=folder / "run.h5")
    total = result.rounds["seconds"][-1]
    commits, saves = spent["commit"], spent["save"]
    both = saves[1] + commits[1] - sum(inside)
    print(f"{len(result.rounds['round'])} rows in {total:.1f} s")
    print(f"{commits[0]} commits {commits[1]:.3f} s, {saves[0]} checkpoints {saves[1]:.3f} s")
    print(f"share {both / total:.2%}; commits inside checkpoints {sum(inside):.3f} s")


def checkpoint_against_write(folder: Path) -> None:
    """Five of each, in turn."""
    x = np.random.default_rng(0).standard_normal(12_500_000)
    team = Team.of(One(), 10, x.size)
    contents, plain, ours = x.tobytes(), [], []
    for k in range(5):
        began = time.perf_counter()
        with (folder / f"plain{k}").open("xb") as file:
            file.write(contents)
            os.fsync(file.fileno())
        plain.append(time.perf_counter() - began)
        (folder / f"plain{k}").unlink()
        began = time.perf_counter()
        checkpoint.save(team, folder / "c.ckpt", "id", k, 0.0, {"x": x}, {}, b"log")
        ours.append(time.perf_counter() - began)
    write, save = np.median(plain), np.median(ours)
    print(f"100 MB: plain {write:.3f} s, checkpoint {save:.3f} s, {save / write:.2f} times")
    print("  plain", [f"{t:.3f}" for t in plain], "checkpoint", [f"{t:.3f}" for t in ours])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        checkpoint_against_write(Path(name))
        share_of_a_run(int(sys.argv[1]) if len(sys.argv) > 1 else 400_000, Path(name))
