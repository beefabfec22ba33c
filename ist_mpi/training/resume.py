"""Where a run goes on: after its newest whole checkpoint, or after its end."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ist_mpi.config import OPERATION, Config, load
from ist_mpi.config.tables import Code, named_code, with_code
from ist_mpi.errors import DamagedError, Fault, InputError, MismatchError
from ist_mpi.parallel.team import Team
from ist_mpi.store import checkpoint
from ist_mpi.store import log as runlog
from ist_mpi.store.log import Run
from ist_mpi.store.provenance import versions
from ist_mpi.training.record import Start
from ist_mpi.training.setup import Experiment

OVER = ("finished", "failed")
"""The states of a log that nothing more is added to."""


class Found(NamedTuple):
    """What is there of a run; on rank 0."""

    start: Start | None
    """Where to go on; None: from the beginning."""
    notes: list[str]
    """What the user should know."""


def resume(config: Config, experiment: Experiment, log: Path) -> Found:
    """Where an unfinished run goes on; collective.

    Raises
    ------
    MismatchError
        On every rank: the log there is of another configuration, or of other data.
    CheckpointError
        On every rank, if a checkpoint cannot be read now.
    """

    def look() -> Found:
        kept, complaints = checkpoint.newest(checkpoint.folder_of(log), config.run_id())
        notes = [f"skipping a checkpoint: {text}" for text in complaints]
        if kept is None:
            notes.append("there is no checkpoint to go on from: starting over")
            return Found(None, notes)
        run = runlog.read_image(kept.log, log)
        notes += _check_belongs(config, experiment, run, log)
        checkpoint.drop_later(checkpoint.folder_of(log), kept.round)
        notes.append(f"going on after round {kept.round}")
        start = _start(kept.round, kept.seconds, kept.server, kept.workers, run)
        return Found(start, notes)

    return _shared(experiment.team, look)


def extend(config: Config, experiment: Experiment, log: Path) -> Found:
    """Where a finished run goes on beyond its end; collective.

    Raises
    ------
    MismatchError
        On every rank, as for `resume`.
    InputError
        On every rank, if the run there is not over, or already as long.
    """

    def look() -> Found:
        run = runlog.open_run(log)
        check_extensible(run, config.run.rounds)
        notes = _check_belongs(config, experiment, run, log, longer=True)
        seconds, end = float(run.rounds["seconds"][-1]), int(run.rounds["round"][-1])
        notes.append(f"going on after round {end}, the last")
        rows = run.rounds["round"]
        on_grid = rows[rows % config.log.every == 0]  # the last row was there for being the last
        start = _start(end, seconds, {"x": run.x}, {}, run)
        return Found(start._replace(observed=int(on_grid[-1]), kept=False), notes)

    return _shared(experiment.team, look)


def check_extensible(run: Run, rounds: int) -> None:
    """Raise InputError unless a run is finished and has fewer rounds."""
    if run.status != "finished":
        got = f"a run that is {_standing_of(run)}"
        raise InputError(Fault(str(run.path), got, "a finished run", "ist-mpi resume goes on"))
    before = int(_table(run)["run"]["rounds"])
    if rounds <= before:
        expected = f"more than the {before} rounds that it has"
        raise InputError(Fault("--rounds", str(rounds), expected))


def _start(
    k: int, seconds: float, server: dict[str, Any], workers: dict[str, Any], run: Run
) -> Start:
    return Start(k, int(run.rounds["round"][-1]), seconds, server, workers, run)


def _shared(team: Team, look: Callable[[], Found]) -> Found:
    """What `look` finds on rank 0, on every rank; collective.

    The log itself stays on rank 0, and of the workers' vectors each rank has its workers' rows.
    """
    here: Start | None = None

    def light() -> Found:
        nonlocal here
        found = look()
        if found.start is None:
            return found
        here = found.start
        return found._replace(start=here._replace(log=None, workers={}))

    found: Found = team.on_root(light)
    if found.start is None:
        return found
    names = team.comm.bcast(None if here is None else sorted(here.workers))

    def rows_of(worker: int) -> list[Any]:
        return [] if here is None else [here.workers[name][worker] for name in names]

    rows = list(team.deal(rows_of)) if names else []
    own = {name: np.array([row[i] for row in rows]) for i, name in enumerate(names)}
    log = None if here is None else here.log
    return found._replace(start=found.start._replace(log=log, workers=own))


def _check_belongs(
    config: Config, experiment: Experiment, run: Run, log: Path, longer: bool = False
) -> list[str]:
    """Refuse a log of another configuration or of other data, or whose rows do not fit together;
    notes on other versions.
    """
    misfit = _misfit(run)
    if misfit:
        raise DamagedError(Fault(str(log), f"a damaged log: {misfit}", "the rows of a run"))
    different = differences(config, run)
    if longer:
        different = [item for item in different if item.setting != "run.rounds"]
    if different:
        raise _of_another(log, different)
    now, then = versions(), run.attributes["versions"]
    changed = [name for name in now if now[name] != then.get(name)]
    words = _other_data(experiment, run, bool(changed))
    if words:
        raise MismatchError(f"{log} is of other data: {words}")
    if not changed:
        return []
    text = ", ".join(f"{name} {then.get(name)} → {now[name]}" for name in changed)
    return [f"other versions than before ({text}): the same bits are not promised"]


def _other_data(experiment: Experiment, run: Run, other_versions: bool) -> str:
    """What tells that a log is of other data; empty if nothing does.

    That is their digest, not x*, whose last bits are those of the library that added it up; x* in
    all but these where the log is older than digests, or where other versions read the data; of
    functions, what they are at x⁰.
    """
    if experiment.first is not None:
        for name in ("value", "gradient_norm_squared"):
            mine, theirs = getattr(experiment.first, name), run.rounds[name][0]
            if not np.isclose(mine, theirs, rtol=1e-8, atol=0.0, equal_nan=True):
                return f"{name} at the start is {theirs:.12g}, this problem's {mine:.12g}"
    logged = run.attributes.get("problem_digest")
    if logged == experiment.digest:
        return ""
    if logged is not None and not other_versions:
        return f"their digest is {logged}, this problem's {experiment.digest}"
    x_star, then = experiment.objective.prediction.x_star, run.theory.get("x_star")
    if x_star is not None and then is not None and _near(x_star, then):
        return ""
    return "its solution x* is not this problem's"


def _misfit(run: Run) -> str:
    """Which rows of a log do not fit together, in words; empty if all do."""
    rounds, iterates = run.rounds["round"], run.iterates
    if rounds[0] != 0 or (np.diff(rounds) <= 0).any():
        return "its rounds do not increase from 0"
    if iterates and len(iterates["x"]) != len(rounds):
        return "its iterates are not those of its rounds"
    return ""


def _near(x: Any, y: Any) -> bool:
    return x.shape == y.shape and bool(np.abs(x - y).max() <= 1e-8 * np.abs(y).max())


class Difference(NamedTuple):
    """A setting that a log's configuration has otherwise, or all of it (`setting` empty)."""

    setting: str
    text: str

    def __str__(self) -> str:
        return f"{self.setting}{self.text}"


def differences(config: Config, run: Run) -> list[Difference]:
    """The settings in which a log's configuration differs, but for those that change no result."""
    ours, table = config.to_dict(), _table(run)
    for named in named_code(table):
        if ours[named.section].get(named.digest_key) != named.digest:
            return [Difference(f"{named.section}.{named.key}", " is other code")]
        table[named.section][named.key] = ours[named.section][named.key]
    try:
        logged = load(table).to_dict()
    except InputError as error:
        return [Difference("", str(error))]
    found = []
    for section in sorted(set(ours) | set(logged)):
        mine, theirs = ours.get(section, {}), logged.get(section, {})
        for key in sorted(set(mine) | set(theirs)):
            free = section == "run" and key in OPERATION
            if not free and mine.get(key) != theirs.get(key):
                text = f" = {theirs.get(key)}, now {mine.get(key)}"
                found.append(Difference(f"{section}.{key}", text))
    return found


def _table(run: Run) -> dict[str, Any]:
    return tomllib.loads(run.attributes["config"])


def config_of(log: Path, code: Code = None) -> Config:
    """The configuration of a run that has begun: from its log, else from a checkpoint.

    `code` are the files of the method, sketch or problem that the log names, if it names any.

    Raises
    ------
    InputError
        If there is no log and no checkpoint, or the log is damaged and there is no checkpoint.
    MismatchError
        If its problem was arrays in memory, which no file has.
    CheckpointError
        If a checkpoint cannot be read now.
    """
    begun = _begun(log)
    run = begun[0] if begun is not None else runlog.open_run(log)  # says that there is none
    if "digest" in _table(run).get("problem", {}):
        raise MismatchError(f"{log}: its problem was arrays in memory, which are gone")
    return _config_of(run, code)


def _config_of(run: Run, code: Code) -> Config:
    """The configuration in a log, checked like any other; DamagedError if it cannot be one."""
    table = with_code(_table(run), code, str(run.path))
    try:
        return load(table)
    except InputError as error:
        got = f"a log whose configuration cannot be run ({error.faults[0]})"
        raise DamagedError(Fault(str(run.path), got, "one as this program writes it")) from error


def standing(config: Config, log: Path) -> str:
    """What there is of a run: ``absent``, ``unfinished``, or the status of a log that is done.

    Raises
    ------
    InputError
        If the log is damaged and there is no checkpoint.
    MismatchError
        If the log is of another configuration, or, where it is missing or damaged, the newest
        checkpoint is.
    CheckpointError
        If a checkpoint cannot be read now.
    """
    return examine(config, log)[0]


def examine(config: Config, log: Path) -> tuple[str, Run | None]:
    """`standing`, and the log, without its bulk, if it is there and whole."""
    begun = _begun(log)
    if begun is None:
        return "absent", None
    run, in_checkpoint = begun
    different = [item for item in differences(config, run) if not _is_theirs(config, item)]
    if different:
        raise _of_another(log, different)
    return ("unfinished", None) if in_checkpoint else (_standing_of(run), run)


def _standing_of(run: Run) -> str:
    return run.status if run.status in OVER else "unfinished"


def _begun(log: Path) -> tuple[Run, bool] | None:
    """The log of a run, without its bulk, or where it is missing or damaged that of the newest
    checkpoint, of whatever run; and which of them. None if there is neither.

    Raises
    ------
    InputError
        If the log is damaged and there is no checkpoint.
    CheckpointError
        If a checkpoint cannot be read now.
    """
    try:
        if log.exists():
            return runlog.open_run(log, bulk=False), False
    except InputError:
        run = _newest(log)
        if run is None:
            raise
        return run, True
    run = _newest(log)
    return None if run is None else (run, True)


def _newest(log: Path) -> Run | None:
    kept, _ = checkpoint.newest(checkpoint.folder_of(log), None)
    return None if kept is None else runlog.read_image(kept.log, log)


def over(log: Path) -> str | None:
    """The status of a run that is over; None if it is not, or there is no such log."""
    try:
        status = runlog.open_run(log, bulk=False).status
    except InputError:
        return None
    return status if status in OVER else None


def _is_theirs(config: Config, difference: Difference) -> bool:
    """Whether a difference is that the log has the number that a word has become."""
    section, _, name = difference.setting.partition(".")
    return section == "method" and name in config.method.unresolved


def _of_another(log: Path, different: list[Difference]) -> MismatchError:
    return MismatchError(
        f"{log} is the log of another configuration ({'; '.join(map(str, different))}); use "
        "another --out, or --force to replace it"
    )
