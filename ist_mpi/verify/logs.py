"""A log and the problem it was run on, rebuilt from its configuration or from /problem."""

import importlib
import json
import tomllib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi import config, problems, registry
from ist_mpi.config import Method
from ist_mpi.config.tables import Code, with_code
from ist_mpi.errors import DamagedError, Fault, InputError
from ist_mpi.exact_theory.chains.chain import Chain
from ist_mpi.exact_theory.moments.second import RoundMoments, round_moments
from ist_mpi.exact_theory.step import Known, known_of
from ist_mpi.exact_theory.workers import Here, Quadratic
from ist_mpi.sketches import sketch_of
from ist_mpi.store import log as runlog

Float64 = NDArray[np.float64]
Integers = NDArray[np.integer]

MAX_BYTES = 2**31
"""A problem whose matrices take more memory is not rebuilt."""
JUDGED = (
    "initial_gap",
    "f_star",
    "fixed_point_gap",
    "fixed_point_relative_gap",
    "bias_norm_squared",
)
"""The constants of a log that are compared with others."""


@dataclass(frozen=True)
class Log:
    """A run log with its configuration understood."""

    run: runlog.Run
    method: Method
    problem: dict[str, Any]
    """The table [problem]."""
    rounds: int
    """As configured."""
    seed: int
    tolerance: float
    every: int
    key: str
    """The configuration without run.seed: logs with the same key are one group."""

    @property
    def name(self) -> str:
        """What the report calls it."""
        return str(self.run.path)

    @property
    def d(self) -> int:
        """Coordinates."""
        return len(self.run.x)

    @property
    def made(self) -> int:
        """The last logged round."""
        return int(self.run.rounds["round"][-1])

    def lighter(self) -> "Log":
        """The same log without what only its own checks need."""
        return replace(self, run=replace(self.run, iterates={}, problem={}))


def read(path: Path, code: Code = None) -> Log:
    """Open a log; raises InputError where it is none, DamagedError where it lacks a part.

    `code` are the files of the method, sketch or problem that the log names, if it names any;
    without them such a log is refused.
    """
    run = runlog.open_run(path)
    expected = "a run log with a configuration and at least the row of round 0"
    try:
        tables = with_code(tomllib.loads(run.attributes["config"]), code, str(path))
        method = config.method_table(tables["method"])
        settings = tables["run"]
        seed = int(settings.pop("seed"))
        log = Log(
            run=run,
            method=method,
            problem=tables["problem"],
            rounds=int(settings["rounds"]),
            seed=seed,
            tolerance=float(settings["tolerance"]),
            every=int(tables["log"]["every"]),
            key=json.dumps(tables, sort_keys=True),
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        got = f"a log whose configuration cannot be read ({error})"
        raise DamagedError(Fault(str(path), got, expected)) from error
    got = _damage(run)
    if got:
        raise DamagedError(Fault(str(path), got, expected))
    return log


def _damage(run: runlog.Run) -> str:
    """What keeps a log from being judged at all, in words; empty if nothing does."""
    if len({len(column) for column in run.rounds.values()}) != 1 or not len(run.rounds["round"]):
        return "a log without rows, or with columns of different lengths"
    if any(isinstance(run.theory.get(name), str) for name in JUDGED):
        return "a log with a constant that is no number"
    vectors = [run.model.get("x0"), run.model.get("x")]
    of_quadratics = run.attributes.get("storage") != "functions"  # of others x* may not be known
    vectors.append(run.theory.get("x_star", None if of_quadratics else vectors[0]))
    vectors.append(run.theory.get("fixed_point", vectors[0]))
    if any(vector is None or vector.ndim != 1 for vector in vectors):
        return "a log without its models or without x*"
    if len({len(vector) for vector in vectors if vector is not None}) != 1:
        return "a log whose models and x* have different lengths"
    return ""


@dataclass(frozen=True)
class Instance:
    """The problem and the method of a run, with everything that follows from them."""

    method: Method
    L: Float64
    """Shape (n, d, d); of a homogeneous problem a view of one matrix."""
    b: Float64
    """Shape (n, d)."""
    constant: Float64
    """f_i(0), shape (n,)."""
    x0: Float64
    """Shape (d,)."""
    homogeneous: bool

    quadratic = True
    replicas = 1
    """Runs that a replay makes; more than one: all but the first disturbed by rounding.

    Where gradients jump or models are driven apart, that tells how far a run is known.
    """

    @property
    def n(self) -> int:
        """Workers."""
        return len(self.b)

    @property
    def d(self) -> int:
        """Coordinates."""
        return len(self.x0)

    def gradients(self, X: Float64) -> Float64:
        """∇f_i at X (R, n, d), a model of each worker's own, or (R, 1, d); shape (R, n, d)."""
        return np.asarray(np.matmul(self.L, X[..., None])[..., 0] - self.b)

    def open_round(self, seed: int, k: int) -> None:
        """Be told that `gradients` are those of a round, of its local steps one after another."""

    @cached_property
    def sketch(self) -> Any:
        """Of the method, for this problem."""
        return sketch_of(self.method, self.n, self.d)

    @property
    def seconds_of_rounds(self) -> tuple[float, float] | None:
        """About how long a replayed round takes, and a row's columns; None: as `rounds` counts."""
        return None

    @property
    def items(self) -> int:
        """What the sketch deals out, coordinates or what stands for some of them."""
        return self.d

    def dealt_out(self, pi: Integers, offsets: Integers) -> tuple[Integers, Integers]:
        """A round's blocks as items."""
        return pi, offsets

    def trouble_of_blocks(self, pi: Integers, offsets: Integers) -> str | None:
        """What is wrong with blocks of items; None: they are of coordinates, or groups of them."""
        return None

    @property
    def q(self) -> int:
        """Size of a Rand-q block; 0: another sketch."""
        return int(getattr(self.method, "q", None) or 0)

    @cached_property
    def diagonals(self) -> Float64:
        """Of the L_i, shape (n, d)."""
        return np.diagonal(self.L, axis1=1, axis2=2)

    @cached_property
    def L_mean(self) -> Float64:
        """L̄, shape (d, d)."""
        return np.asarray(self.L[0] if self.homogeneous else self.L.mean(axis=0))

    @cached_property
    def b_mean(self) -> Float64:
        """b̄, shape (d,)."""
        return np.asarray(self.b.mean(axis=0))

    @cached_property
    def known(self) -> Known:
        """What theory knows of a round."""
        return known_of(self.method, sketch_of(self.method, self.n, self.d))

    @cached_property
    def moments(self) -> RoundMoments | None:
        """The moments of a round; None where they have no closed form."""
        if not self.known.closed:
            return None
        distinct = [Quadratic(self.L[0], self.b[0], self.n)]
        if not self.homogeneous:
            distinct = [Quadratic(L, b) for L, b in zip(self.L, self.b, strict=True)]
        return round_moments(self.known.step, self.known.law, self.n, self.d, distinct)

    @cached_property
    def chain(self) -> Chain | None:
        """The exact moments of a method with theory of its own; None: it has none."""
        if self.known.own is None:
            return None
        workers = Here([Quadratic(L, b) for L, b in zip(self.L, self.b, strict=True)])
        chain_at = self.known.own.build(self.known.law, workers, self.n, self.d)
        made: Chain = chain_at(self.method.gamma)
        return made

    @cached_property
    def mean_step(self) -> tuple[Float64, Float64] | None:
        """G (d, d) and h (d,) with E x⁺ = E x − γ (G E x − h); None with several local steps.

        G = M, or M + (I − E C̄)/γ for merges that multiply the model; h = m.
        """
        if self.moments is None:
            return None
        G = self.moments.M
        if self.moments.mean_sketch is not None:
            G = G + np.diag((1.0 - self.moments.mean_sketch) / self.method.gamma)
        return G, self.moments.m

    @cached_property
    def x_star(self) -> Float64:
        """x* = L̄⁻¹ b̄, shape (d,), with a step of refinement."""
        x = np.linalg.solve(self.L_mean, self.b_mean)
        return np.asarray(x + np.linalg.solve(self.L_mean, self.b_mean - self.L_mean @ x))

    @cached_property
    def fixed_point(self) -> Float64 | None:
        """x∞ = G⁻¹ h, shape (d,), or None where there is none."""
        if self.known.own is not None:
            return self.x_star
        if self.mean_step is None:
            return None
        try:
            return np.asarray(np.linalg.solve(*self.mean_step))
        except np.linalg.LinAlgError:
            return None


def from_log(log: Log) -> Instance | None:
    """The problem that /problem holds, or None."""
    if {"L", "b", "constant"} - set(log.run.problem):
        return None
    L, b, constant = (log.run.problem[name] for name in ("L", "b", "constant"))
    same = bool(np.all(L[0] == L) and np.all(b == b[0]))
    if same:
        L = np.broadcast_to(L[0], L.shape)
    return Instance(log.method, L, b, constant, log.run.model["x0"], same)


def _problem(log: Log) -> config.Problem:
    """The table [problem], validated."""
    tables = {
        "problem": log.problem,
        "method": {"name": "gradient_descent", "step_size": 1.0},
        "run": {"rounds": 1},
    }
    return config.load(tables).problem


def sketch_of_log(log: Log, n: int) -> Any:
    """The sketch of a log with n workers.

    Raises
    ------
    InputError
        If it deals out what the problem's data say, and those are gone.
    """
    kind, units = log.problem.get("kind"), None
    if isinstance(kind, str) and hasattr(registry.load("problems", kind), "units"):
        if "digest" in log.problem:
            raise InputError(Fault(log.name, "arrays that were in memory", "data that can be read"))
        units = problems.load(_problem(log)).units
    return sketch_of(log.method, n, log.d, units)


def from_configuration(log: Log) -> Instance | str:
    """The problem that the configuration describes, or why it cannot be rebuilt."""
    if "digest" in log.problem:
        return "the arrays were in memory, and the log holds no /problem"
    try:
        source = problems.load(_problem(log))
        if not source.stored.quadratic:
            return _of_functions(log, source)
        n, d = source.n, source.d
        distinct = 1 if source.homogeneous else n
        if distinct * d * d * 8 > MAX_BYTES:
            return f"cost: {distinct} matrices of {d} × {d} numbers"
        parts = [source.share(worker).quadratic() for worker in range(distinct)]
    except InputError as error:
        return f"the data are gone: {error}"
    L = np.stack([part.L for part in parts])
    b = np.stack([part.b for part in parts])
    constant = np.array([part.constant for part in parts])
    if source.homogeneous:
        L, b = np.broadcast_to(L[0], (n, d, d)), np.broadcast_to(b[0], (n, d))
        constant = np.full(n, constant[0])
    return Instance(log.method, L, b, constant, source.start(), source.homogeneous)


def _of_functions(log: Log, source: Any) -> Instance | str:
    """A problem that is no quadratic, where it has a second implementation."""
    if not source.replay:
        return "the problem is not quadratic"
    module, _, name = source.replay.partition(":")
    made: Instance | str = getattr(importlib.import_module(module), name)(log, source)
    return made


def instance_of(log: Log) -> Instance | str:
    """The problem of a log, or why it is not known.

    A synthetic problem is what its seed makes it; data may have changed since, so that for them
    /problem comes first.
    """
    recorded = None if log.problem.get("kind") == "synthetic" else from_log(log)
    rebuilt = from_configuration(log) if recorded is None else recorded
    if isinstance(rebuilt, str):
        recorded = from_log(log)
        return rebuilt if recorded is None else recorded
    return rebuilt
