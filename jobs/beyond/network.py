"""The data of the experiment with networks, and the step sizes of its methods.

    python jobs/beyond/network.py data FOLDER
    python jobs/beyond/network.py step CONFIG section.key=value…

`data` writes training.npz, validation.npz and test.npz, three fifths and twice one fifth of the
digits. `step` prints the step size whose runs tell most of the validation samples right; no test
sample has a part in it.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import ist_mpi
from ist_mpi.config import load

SHARES = {"training": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}
STEPS = (0.1, 0.3, 1.0, 3.0)
"""Over s, the scale of training."""
SEED = 100
"""Of the runs that choose a step size; another than those that are shown."""


def data(folder: Path) -> None:
    """Write the three parts."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    folder.mkdir(parents=True, exist_ok=True)
    for name, share in SHARES.items():
        first, last = (round(edge * len(order)) for edge in share)
        rows = order[first:last]
        np.savez(folder / f"{name}.npz", X=digits.data[rows], y=digits.target[rows])


def best(config: str, settings: list[str]) -> float:
    """The step size with the highest accuracy on the validation samples in the end."""
    given = load(config, [*settings, f"run.seed={SEED}"])
    given = given.with_values(log={"every": given.run.rounds})
    found = {}
    for step in (step / getattr(given.problem, "logit_scale", 1.0) for step in STEPS):
        run = ist_mpi.run(given.with_values(method={"step_size": step}))
        found[step] = run.rounds["test_accuracy"][-1] if run.status == "finished" else 0.0
    return max(found, key=lambda step: found[step])


def main() -> None:
    """The command."""
    words = sys.argv[1:]
    if len(words) == 2 and words[0] == "data":
        data(Path(words[1]))
    elif len(words) >= 2 and words[0] == "step":
        print(best(words[1], words[2:]))
    else:
        sys.exit((__doc__ or "").split("\n\n")[1])


if __name__ == "__main__":
    main()
