"""From laps to the rows of a benchmark's document: seconds, and ratios of neighbours in time."""

from typing import Any

import numpy as np

from ist_mpi.bench.cases import Case
from ist_mpi.bench.timing import Figure, Float64, Times, figure, slowest
from ist_mpi.parallel.team import Team
from ist_mpi.sketches import block_sizes

Row = dict[str, Any]


def _row(case: Case, **more: Any) -> Row:
    return {"d": case.d, "n": case.n, "q": case.block, "rand": case.q is not None, **more}


def _documents(figures: dict[str, Figure]) -> dict[str, dict[str, float]]:
    return {name: one.document() for name, one in figures.items()}


def kernel_rows(case: Case, lines: float, times: Times) -> list[Row]:
    """The table of block products, one core: seconds of a block, cached and cold."""
    rows = []
    for state, prefix in (("cached", "cached "), ("cold", "")):
        names = ("kernel", "sequential", "scattered", "numpy")
        found = {name: times[prefix + name][0] for name in names}
        kernel = found["kernel"]
        ratios = {
            "numpy_over_kernel": figure(found["numpy"] / kernel),
            "kernel_over_sequential": figure(kernel / found["sequential"]),
            "kernel_over_scattered": figure(kernel / found["scattered"]),
        }
        seconds = {name: figure(laps) for name, laps in found.items()}
        rows.append(
            _row(
                case,
                state=state,
                lines=lines,
                seconds=_documents(seconds),
                ratios=_documents(ratios),
            )
        )
    return rows


def round_row(comm: Any, case: Case, exchange: str, times: Times) -> Row:
    """A whole round on a team, taken apart as rank 0 sees it, and beside what it is made of.

    Alone, the round is one compiled call, and the parts are timed by themselves. Together, the time
    inside the exchange is taken within the round: it has the waiting for slower ranks in it, and on
    rank 0 the drawing of the next blocks, which is subtracted.
    """
    team = Team.of(comm, case.n, case.d)
    workers = team.last - team.first
    whole = slowest(times[f"round {exchange}"])
    kernel = times["kernel"] * np.diff(team.workers)[:, None]  # of all a rank's workers
    sequential = slowest(times["sequential"] * np.diff(team.workers)[:, None])
    permutation = times["permutation"][0]
    inside = np.zeros_like(whole)
    if comm.size > 1:
        inside = np.maximum(0.0, times[f"inside {exchange}"][0] - permutation)
    rest = whole - permutation - inside - kernel[0]
    seconds: dict[str, Float64] = {
        "round": whole,
        "permutation": permutation,
        "exchange": inside,
        "kernel": kernel[0],
        "rest": rest,
        "kernel_slowest": slowest(kernel),
        "not_kernel": whole - slowest(kernel),
        "floor_slowest": sequential,
    }
    ratios = {
        "round_over_kernel": whole / seconds["kernel_slowest"],
        "round_over_floor": whole / sequential,
    }
    if comm.size > 1:
        seconds["raw"] = slowest(times[f"raw {exchange}"])
        ratios["round_over_parts"] = whole / (seconds["kernel_slowest"] + seconds["raw"])
    else:
        seconds |= {name: times[name][0] for name in ("textbook", "touch", "route")}
        ratios["textbook_over_round"] = seconds["textbook"] / whole
    return _row(
        case,
        p=comm.size,
        exchange=exchange,
        workers=workers,
        coordinates=block_sizes(case.method, case.n, case.d)[1],
        seconds=_documents({name: figure(laps) for name, laps in seconds.items()}),
        ratios=_documents({name: figure(laps) for name, laps in ratios.items()}),
    )


def scaling_rows(kind: str, rounds: list[tuple[Case, int, str, Float64]]) -> list[Row]:
    """Strong or weak scaling: rounds (case, p, exchange, laps) against the first, on the fewest.

    Strong: the same case on more ranks, efficiency T₁ p₁ / (T_p p). Weak: as much more work as
    ranks, efficiency T₁ / T_p.
    """
    _, fewest, _, alone = rounds[0]
    rows = []
    for case, p, exchange, laps in rounds:
        faster = alone / laps
        efficiency = faster * (fewest / p if kind == "strong" else 1.0)
        rows.append(
            _row(
                case,
                kind=kind,
                p=p,
                base=fewest,
                exchange=exchange,
                seconds={"round": figure(laps).document()},
                ratios=_documents(
                    {"speedup": figure(faster), "efficiency": figure(efficiency)}
                    if kind == "strong"
                    else {"efficiency": figure(efficiency)}
                ),
            )
        )
    return rows
