"""Where a run goes on: after its newest whole checkpoint, or after its end."""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ist_mpi import checkpoint, runlog
from ist_mpi.config import OPERATION, Config, load
from ist_mpi.errors import InputError, MismatchError
from ist_mpi.exchange import ranks
from ist_mpi.experiment import Experiment
from ist_mpi.provenance import versions
from ist_mpi.record import Start
from ist_mpi.runlog import Run


class Found(NamedTuple):
    """What is there of a run; on rank 0."""

    start: Start | None
    """Where to go on; None: from the beginning."""
    notes: list[str]
    """What the user should know."""


def resume(comm: Any, config: Config, experiment: Experiment, log: Path) -> Found:
    """Where an unfinished run goes on; collective.

    Raises
    ------
    MismatchError
        On every rank: the log there is of another configuration, or of other data.
    """

    def look() -> Found:
        kept, complaints = checkpoint.newest(checkpoint.folder_of(log), config.run_id())
        notes = [f"a checkpoint is passed over: {text}" for text in complaints]
        if kept is None:
            notes.append("there is no checkpoint to go on from: from the beginning")
            return Found(None, notes)
        run = runlog.read_image(kept.log, log)
        notes += _check_belongs(config, experiment, run, log)
        notes.append(f"going on after round {kept.round}")
        return Found(_start(kept.round, kept.seconds, kept.state, run), notes)

    return _shared(comm, look)


def extend(comm: Any, config: Config, experiment: Experiment, log: Path) -> Found:
    """Where a finished run goes on beyond its end; collective.

    Raises
    ------
    MismatchError
        On every rank, as for `resume`.
    """

    def look() -> Found:
        run = runlog.open_run(log)
        notes = _check_belongs(config, experiment, run, log, longer=True)
        seconds, end = float(run.rounds["seconds"][-1]), int(run.rounds["round"][-1])
        notes.append(f"going on after round {end}, the last")
        rows = run.rounds["round"]
        on_grid = rows[rows % config.log.every == 0]  # the last row was there for being the last
        start = _start(end, seconds, {"x": run.x}, run)
        return Found(start._replace(observed=int(on_grid[-1]), kept=False), notes)

    return _shared(comm, look)


def _start(k: int, seconds: float, state: dict[str, Any], run: Run) -> Start:
    return Start(k, int(run.rounds["round"][-1]), seconds, state, run)


def _shared(comm: Any, look: Any) -> Found:
    """What `look` finds on rank 0, on every rank, the log itself on rank 0 only; collective."""
    here: Run | None = None

    def light() -> Found:
        nonlocal here
        found: Found = look()
        if found.start is None:
            return found
        here = found.start.log
        return found._replace(start=found.start._replace(log=None))

    found: Found = ranks.on_root(comm, light)
    if found.start is None:
        return found
    return found._replace(start=found.start._replace(log=here))


def _check_belongs(
    config: Config, experiment: Experiment, run: Run, log: Path, longer: bool = False
) -> list[str]:
    """Refuse a log of another configuration or of other data; notes on other versions."""
    rounds = "run.rounds" if longer else " "
    different = [text for text in differences(config, run) if not text.startswith(rounds)]
    if different:
        raise _of_another(log, different)
    x_star, logged = experiment.objective.prediction.x_star, run.theory["x_star"]
    now, then = versions(), run.attributes["versions"]
    changed = [name for name in now if now[name] != then.get(name)]
    same = np.array_equal(x_star, logged) if not changed else _near(x_star, logged)
    if not same:
        raise MismatchError(f"{log} is of other data: its solution x* is not this problem's")
    if not changed:
        return []
    text = ", ".join(f"{name} {then.get(name)} → {now[name]}" for name in changed)
    return [f"other versions than before ({text}): the same bits are not promised"]


def _near(x: Any, y: Any) -> bool:
    return x.shape == y.shape and bool(np.linalg.norm(x - y) <= 1e-8 * np.linalg.norm(y))


def differences(config: Config, run: Run) -> list[str]:
    """The settings in which a log's configuration differs, but for those that change no result."""
    try:
        logged = load(_table(run)).to_dict()
    except InputError as error:
        return [str(error)]
    ours = config.to_dict()
    found = []
    for section in sorted(set(ours) | set(logged)):
        mine, theirs = ours.get(section, {}), logged.get(section, {})
        for key in sorted(set(mine) | set(theirs)):
            free = section == "run" and key in OPERATION
            if not free and mine.get(key) != theirs.get(key):
                found.append(f"{section}.{key} = {theirs.get(key)}, now {mine.get(key)}")
    return found


def _table(run: Run) -> dict[str, Any]:
    return tomllib.loads(run.attributes["config"])


def config_of(log: Path) -> Config:
    """The configuration of a run that has begun: from its log, else from a checkpoint.

    Raises
    ------
    InputError
        If there is no log, or it is damaged and there is no checkpoint.
    MismatchError
        If its problem was arrays in memory, which no file has.
    """
    try:
        run = runlog.open_run(log)
    except InputError:
        kept, _ = checkpoint.newest(checkpoint.folder_of(log), None)
        if kept is None:
            raise
        run = runlog.read_image(kept.log, log)
    table = _table(run)
    if "digest" in table["problem"]:
        raise MismatchError(f"{log}: its problem was arrays in memory, which are gone")
    return load(table)


def standing(config: Config, log: Path) -> str:
    """What there is of a run: ``absent``, ``unfinished``, or the status of a log that is done.

    Raises
    ------
    InputError
        If the log is damaged and there is no checkpoint.
    MismatchError
        If the log is of another configuration.
    """
    return examine(config, log)[0]


def examine(config: Config, log: Path) -> tuple[str, Run | None]:
    """`standing`, and the log if it is there and whole."""
    if not log.exists():
        kept, _ = checkpoint.newest(checkpoint.folder_of(log), config.run_id())
        return "absent" if kept is None else "unfinished", None
    try:
        run = runlog.open_run(log, bulk=False)
    except InputError:
        if checkpoint.newest(checkpoint.folder_of(log), None)[0] is None:
            raise
        return "unfinished", None
    different = [text for text in differences(config, run) if not _is_theirs(config, text)]
    if different:
        raise _of_another(log, different)
    return run.status if run.status in ("finished", "failed") else "unfinished", run


def _is_theirs(config: Config, text: str) -> bool:
    """Whether a difference is that the log has the number that "theory" has become."""
    return config.method.step_size == "theory" and text.startswith("method.step_size")


def _of_another(log: Path, different: list[str]) -> MismatchError:
    return MismatchError(
        f"{log} is the log of another configuration ({'; '.join(different)}); use another --out, "
        "or --force to replace it"
    )
