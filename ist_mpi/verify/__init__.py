"""Judges run logs: is what they say what the method, the problem and the seed give?

One log: only what is certain. Twenty seeds or more of one configuration: means against exact
expectations and bounds. What cannot be judged is said, with the reason.

findings    what a verification says
logs        a log, and its problem rebuilt
rounds      the round in plain numpy, many runs at a time
measure     the columns of a model
blocks      recorded blocks and their law
alone       one log
simulate    expectations, and the law of honest runs
means       how improbable a mean is
groups      many seeds of one configuration
bounds      the bounds on their means
together    the checks of a group

No MPI library is needed.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from ist_mpi.config.tables import Code
from ist_mpi.errors import DamagedError, Fault, InputError
from ist_mpi.verify import alone, together
from ist_mpi.verify.findings import Finding, Options, Report
from ist_mpi.verify.groups import Statistic
from ist_mpi.verify.logs import instance_of, read

__all__ = ["Finding", "Report", "verify"]

LOGGER = logging.getLogger(__name__)


def verify(
    paths: Sequence[Path | str],
    *,
    replay: bool = True,
    seconds: float = 60.0,
    code: Code = None,
) -> Report:
    """Judge run logs, each alone, and twenty or more of one configuration together.

    Parameters
    ----------
    paths : sequence of Path
    replay : bool
        Whether blocks are drawn from the run seed and runs made again; without, only what the logs
        themselves say is judged, and the statistics of many seeds.
    seconds : float
        What would take longer, for one log or one group, is not judged.
    code : Path or sequence of Path, optional
        The files of the method, sketch or problem that the logs name, if they name any.

    Returns
    -------
    Report
        Honest logs fail with a probability below 10⁻⁴ in all.

    Raises
    ------
    InputError
        Naming every path that is not a run log; a `DamagedError` if one of them is damaged.
    """
    options = Options(replay, seconds)
    groups: dict[str, list[Path]] = {}
    for path, key in _keys(paths, code):
        groups.setdefault(key, []).append(path)
    found: list[Finding] = []
    of_groups: list[Finding | Statistic] = []
    for members in groups.values():
        instance, logs = instance_of(read(members[0], code)), []
        for path in members:
            LOGGER.info("judging %s", path.name)
            log = read(path, code)
            found += alone.check(log, instance, options)
            logs.append(log.lighter())
        of_groups += together.check(logs, instance, options)
    comparisons = sum(item.comparisons for item in of_groups if isinstance(item, Statistic))
    for item in of_groups:
        found.append(item.finding(comparisons) if isinstance(item, Statistic) else item)
    return Report(tuple(found))


def _keys(paths: Iterable[Path | str], code: Code) -> list[tuple[Path, str]]:
    """The configuration of every log but for its seed, or an InputError with all that is wrong."""
    keys, faults = [], list[Fault]()
    of = InputError
    for path in map(Path, paths):
        try:
            keys.append((path, read(path, code).key))
        except InputError as error:
            faults += error.faults
            of = DamagedError if isinstance(error, DamagedError) else of
    if faults:
        raise of(faults)
    return keys
