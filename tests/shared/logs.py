"""Small logs, and what is expected of them, for the scripts of analysis/."""

from pathlib import Path
from typing import Any

import tomli_w
from commands import call

import ist_mpi

ROOT = Path(__file__).parents[2]
SCRIPTS = (
    "bias",
    "bias_removed",
    "communication",
    "condition",
    "convergence",
    "expectation",
    "fixed_point",
    "interpolation",
    "local_limit",
    "local_steps",
    "logistic_bias",
    "network_accuracy",
    "reconstruction",
    "stability",
    "step_size",
    "where_ist_wins",
)


def synthetic(d: int, n: int, **more: Any) -> dict[str, Any]:
    return {"kind": "synthetic", "d": d, "n": n, "seed": 3, **more}


def make(path: Path, seeds: int = 0, **sections: Any) -> list[Path]:
    """Run a small configuration, with so many seeds (0: one run without a number)."""
    config = {
        "problem": sections.get("problem", synthetic(6, 3)),
        "method": {"name": "ist", "step_size": 1e-2, **sections.get("method", {})},
        "run": {"rounds": 30, **sections.get("run", {})},
        "log": sections.get("log", {}),
    }
    paths = []
    for seed in range(max(1, seeds)):
        config["run"]["seed"] = seed
        name = path.with_name(f"{path.stem}-seed{seed}.h5") if seeds else path
        ist_mpi.run(config, out=name)
        paths.append(name)
    return paths


def expect(log: Path) -> None:
    """The exact expectations of a log's configuration, beside it."""
    config = log.with_suffix(".toml")
    config.write_text(tomli_w.dumps(ist_mpi.open_run(log).config), encoding="utf-8")
    table = log.with_name(log.stem.partition("-seed")[0] + ".csv")
    assert call("theory", str(config), "--rounds", "30", "--csv", str(table)).returncode == 0
