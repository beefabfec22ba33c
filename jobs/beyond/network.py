"""The data of the experiment with networks, and the step sizes of its methods.

    python jobs/beyond/network.py data FOLDER
    python jobs/beyond/network.py step CONFIG section.key=value…

`data` writes training.npz, validation.npz and test.npz, three fifths and twice one fifth of the
digits. `step` prints the step size whose runs tell most of the validation samples right, among
neighbours of which a smaller and a larger one do worse, or no better; no test sample has a part in
it.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import ist_mpi
from ist_mpi.config import load

SHARES = {"training": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}
LADDER = [float(f"{digit}e{power}") for power in range(-4, 2) for digit in (1, 3)]
"""Step sizes over s, the scale of training: 0.0001, 0.0003, … to 30."""
FIRST = (5, 6, 7, 8)
"""Of these, 0.03, 0.1, 0.3 and 1 are tried first, and others while the best is at an end."""
SEEDS = (100, 101, 102)
"""Of the runs that choose a step size; others than those that are shown."""


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
    given = load(config, settings)
    given = given.with_values(log={"every": given.run.rounds})
    scale = getattr(given.problem, "logit_scale", 1.0)

    def accuracy(rung: int) -> float:
        total = 0.0
        for seed in SEEDS:
            values = {"method": {"step_size": LADDER[rung] / scale}, "run": {"seed": seed}}
            run = ist_mpi.run(given.with_values(**values))
            total += run.rounds["test_accuracy"][-1] if run.status == "finished" else 0.0
        return total

    return LADDER[inside(accuracy, FIRST, len(LADDER))] / scale


def inside(value: Callable[[int], float], first: Iterable[int], count: int) -> int:
    """Where `value` of 0 … count − 1 is largest, not at an end of what was looked at.

    The first of equal ones; they are looked at from `first`, neighbours, on.
    """
    found = {at: value(at) for at in first}
    while True:
        best = max(sorted(found), key=lambda at: found[at])
        ends = {min(found): min(found) - 1, max(found): max(found) + 1}
        if best not in ends:
            return best
        beyond = ends[best]
        if not 0 <= beyond < count:
            sys.exit(f"the best step size is the last that there is, rung {best} of {count}")
        found[beyond] = value(beyond)


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
