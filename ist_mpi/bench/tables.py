"""A benchmark's document as tables of words, for people: medians, and quartiles in brackets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Row = Mapping[str, Any]
MICRO = 1e6


class Sheet(NamedTuple):
    """One table."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def sheets(document: Row) -> list[Sheet]:
    """All tables that the document has rows for."""
    makers: dict[str, Callable[[Sequence[Row]], Sheet]] = {
        "kernels": _kernels,
        "rounds": _rounds,
        "scaling": _scaling,
        "whole": _whole,
    }
    return [make(document[key]) for key, make in makers.items() if document[key]]


def facts(document: Row) -> list[tuple[str, str]]:
    """Where it was measured."""
    where = document["environment"]
    cached = ", ".join(f"{level} {size}" for level, size in where["caches"].items())
    hosts = ", ".join(
        f"{host}: {count} rank(s), {where['cores'][host]} core(s)"
        for host, count in where["hosts"].items()
    )
    effort = document["effort"]
    return [
        ("processor", f"{where['processor']} ({cached})"),
        ("hosts", hosts),
        ("MPI library", where["mpi_library"]),
        ("versions", ", ".join(f"{k} {v}" for k, v in where["versions"].items() if v)),
        ("threads per rank", str(where["threads_per_rank"])),
        ("load average at the start", f"{where['load_average']:.2f}"),
        ("laps", f"{effort['laps']} of about {1e3 * effort['seconds']:.0f} ms, taking turns"),
    ]


def _size(row: Row) -> str:
    rand = f", Rand-{row['q']}" if row["rand"] else ""
    return f"{row['d']}, {row['n']}{rand}"


def _digits(value: float) -> str:
    """Three significant digits, without exponents where people do not need them."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 1:
        return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{value:.2g}"


def _time(row: Row, name: str) -> str:
    """Microseconds."""
    if name not in row["seconds"]:
        return ""
    return _spread(row["seconds"][name], MICRO)


def _ratio(row: Row, name: str) -> str:
    return _spread(row["ratios"][name], 1.0) if name in row["ratios"] else ""


def _spread(one: Row, scale: float) -> str:
    median, low, high = (_digits(scale * one[part]) for part in ("median", "low", "high"))
    return f"{median} [{low}, {high}]"


def _kernels(rows: Sequence[Row]) -> Sheet:
    return Sheet(
        "Block products L[S, S] w on one core, µs a block: cached one matrix, cold all of a round",
        (
            *("d, n", "", "lines", "numpy", "kernel", "sequential", "scattered"),
            *("numpy/kernel", "kernel/sequential", "kernel/scattered"),
        ),
        [
            (
                *(_size(row), row["state"], f"{row['lines']:.0f}"),
                *(_time(row, name) for name in ("numpy", "kernel", "sequential", "scattered")),
                _ratio(row, "numpy_over_kernel"),
                _ratio(row, "kernel_over_sequential"),
                _ratio(row, "kernel_over_scattered"),
            )
            for row in rows
        ],
    )


def _rounds(rows: Sequence[Row]) -> Sheet:
    parts = ("round", "permutation", "exchange", "kernel", "rest", "raw", "textbook")
    return Sheet(
        "Rounds, µs: as rank 0 spends them, the raw collectives, the textbook's loop on one core",
        (
            *("d, n", "p", "exchange", *parts[:2], "in exchange", *parts[3:5]),
            *("raw collectives", "numpy loop", "round/kernel", "round/(kernel + raw)"),
            "numpy loop/round",
        ),
        [
            (
                *(_size(row), str(row["p"]), row["exchange"]),
                *(_time(row, name) for name in parts),
                _ratio(row, "round_over_kernel"),
                _ratio(row, "round_over_parts"),
                _ratio(row, "textbook_over_round"),
            )
            for row in rows
        ],
    )


def _scaling(rows: Sequence[Row]) -> Sheet:
    return Sheet(
        "Scaling: strong, the same problem on more ranks; weak, the same work on every rank",
        ("", "d, n", "p", "exchange", "round, µs", "speedup", "efficiency"),
        [
            (
                *(row["kind"], _size(row), str(row["p"]), row["exchange"]),
                *(_time(row, "round"), _ratio(row, "speedup"), _ratio(row, "efficiency")),
            )
            for row in rows
        ],
    )


def _whole(rows: Sequence[Row]) -> Sheet:
    return Sheet(
        "Whole runs with their metrics, µs a round, against the textbook's loop on one core",
        ("d, n", "rounds", "metrics every", "p", "exchange", "run", "numpy loop", "ratio"),
        [
            (
                *(f"{row['d']}, {row['n']}", str(row["rounds"]), str(row["every"])),
                *(str(row["p"]), row["exchange"]),
                *(
                    _spread(row["seconds"][name], MICRO / row["rounds"])
                    for name in ("run", "textbook")
                ),
                _ratio(row, "textbook_over_run"),
            )
            for row in rows
        ],
    )
