"""Following a log from outside: what is said of it, and that its run does not notice."""

import errno
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from cases import configuration

import ist_mpi
from ist_mpi.cli.report.live import LiveReport
from ist_mpi.cli.report.plot import curve
from ist_mpi.parallel import ranks
from ist_mpi.store import checkpoint, locks
from ist_mpi.store import log as runlog
from ist_mpi.store.locks import Lock
from ist_mpi.training import api, watching
from ist_mpi.training.watching import Moment, Sight, Watch

LOG = Path("folder/name.h5")
HERE = Lock("held", "process 7 on here")
PATIENCE = 240
"""Seconds that nothing here takes, also on a slow machine that has other work."""
LONG = {
    "problem": {"kind": "synthetic", "d": 20, "n": 4},
    "method": {"name": "ist", "step_size": 1e-4},
    "run": {"rounds": 10**9, "checkpoint_every": 0.2},
    "log": {"every": 1000},
}


def made(config: Any) -> runlog.Run:
    """A run as a reader of logs has it."""
    return api.run(config, ranks.world())


@pytest.fixture(scope="module")
def finished() -> runlog.Run:
    """A run of 25 rounds, every one logged."""
    return made(configuration("merge", "n does not divide d"))


def as_if(run: runlog.Run, status: str, rounds: Any = None, seconds: Any = None) -> runlog.Run:
    """The same run with another status and other times."""
    columns = dict(run.rounds)
    if rounds is not None:
        keep = slice(len(rounds))
        columns = {name: column[keep] for name, column in columns.items()}
        columns |= {"round": np.array(rounds), "seconds": np.array(seconds, dtype=float)}
    return replace(run, attributes={**run.attributes, "status": status}, rounds=columns)


def judged(run: runlog.Run | None, lock: Lock, age: float = 0.0, **more: Any) -> Moment:
    return watching.judge(Sight(LOG, lock, run, age, **more))


def test_the_rate_is_that_of_the_last_minute() -> None:
    seconds = np.array([0.0, 100.0, 170.0, 200.0, 220.0])
    rounds = np.array([0, 10_000, 10_070, 10_100, 10_120])
    assert watching.recent_rate(rounds, seconds) == pytest.approx((10_120 - 10_070) / 50)
    assert watching.recent_rate(rounds[:2], seconds[:2]) == pytest.approx(100.0)
    assert np.isnan(watching.recent_rate(rounds[:1], seconds[:1]))
    assert np.isnan(watching.recent_rate(np.array([0, 1]), np.zeros(2)))


def test_the_time_left_is_counted_from_now(finished: runlog.Run) -> None:
    run = as_if(finished, "running", [0, 5, 10], [0.0, 1.0, 2.0])  # of 25 rounds
    fresh, older = judged(run, HERE), judged(run, HERE, age=2.0)
    assert (fresh.state, fresh.rate, fresh.left) == ("running", 5.0, 3.0)
    assert older.left == 1.0
    assert judged(run, HERE, age=20.0).left == 0.0
    assert np.isnan(judged(as_if(finished, "running", [0], [0.0]), HERE).left)


def test_a_tolerance_makes_it_a_bound() -> None:
    config = configuration("merge", "n does not divide d", tolerance=1e-30)
    moment = judged(as_if(made(config), "running", [0, 1], [0, 1]), HERE)
    assert moment.at_most
    assert "at most 24 s left" in _line(moment)


FREE, GONE = Lock("free"), Lock("left", "process 7 on here")
FAR = Lock("unknown", "process 7 on far")


@pytest.mark.parametrize(
    ("status", "lock", "age", "state", "words"),
    [
        ("running", HERE, 1, "running", ""),
        ("running", FAR, 1, "running", ""),
        ("running", GONE, 1, "gone", "process 7 on here was killed"),
        ("running", FREE, 1, "gone", "no process is writing this log"),
        ("finished", FREE, 1, "finished", ""),
        ("finished", FAR, 1, "finished", ""),
        ("finished", HERE, 1, "running", ""),  # it ends in this moment
        ("finished", HERE, 60, "setting up", "finished before; process 7 on here"),
        ("stopped", FREE, 1, "stopped", "ist-mpi resume folder/name.h5"),
        ("stopped", HERE, 60, "setting up", "stopped before"),
        ("failed", FREE, 1, "failed", ""),
        (None, HERE, 0, "setting up", "process 7 on here"),
        (None, FREE, 0, "absent", "nothing there yet"),
        (None, FAR, 0, "absent", "nothing there yet"),
    ],
)
def test_states(
    finished: runlog.Run, status: str | None, lock: Lock, age: float, state: str, words: str
) -> None:
    run = None if status is None else as_if(finished, status)
    moment = judged(run, lock, age)
    assert moment.state == state
    assert moment.note.startswith(words)
    assert bool(moment.note) == bool(words)


@pytest.mark.parametrize(
    ("size", "seconds", "usual"),
    [
        (10**5, [0, 1, 2], 10),  # the time between versions
        (10**5, [0, 200, 600], 400),  # a version comes with a row
        (10**8, [0, 1, 2], 1000),  # large logs are written rarely
    ],
)
def test_silence_is_what_is_unusually_long(
    finished: runlog.Run, size: int, seconds: list[float], usual: float
) -> None:
    run = as_if(finished, "running", [0, 5, 10], seconds)
    assert not judged(run, FAR, 2.9 * usual, size=size).silent
    moment = judged(run, FAR, 3.1 * usual, size=size)
    assert moment.silent
    assert moment.state == "running"  # nobody knows
    assert "no news for" in _line(moment)
    alive = judged(run, HERE, 3.1 * usual, size=size)
    assert "process 7 on here is there" in _line(alive)


def test_what_is_over(finished: runlog.Run) -> None:
    over = {
        state: (Moment(state, LOG).is_over(False), Moment(state, LOG).is_over(True))
        for state in ("absent", "setting up", "running", "unreadable")
    }
    assert set(over.values()) == {(False, False)}
    assert Moment("finished", LOG).is_over(True)
    assert Moment("failed", LOG).is_over(True)
    for state in ("stopped", "gone"):
        assert Moment(state, LOG).is_over(False)
        assert not Moment(state, LOG).is_over(True)


def test_limits_are_those_that_theory_knows(finished: runlog.Run) -> None:
    known = watching.limits(finished)
    assert known["fixed point"] == finished.theory["fixed_point_relative_gap"]
    assert known["limit of its expectation"] == finished.theory["limit_relative_gap"]
    without = replace(finished, theory={**finished.theory, "limit_relative_gap": np.nan})
    assert list(watching.limits(without)) == ["fixed point"]


# Looking


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    ist_mpi.run(configuration("merge", "n = d"), out=path)
    return path


def test_a_log_is_read_once_a_version(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = runlog.open_run
    monkeypatch.setattr(
        runlog, "open_run", lambda path, **more: opened.append(more) or real(path, **more)
    )
    watch = Watch(log)
    moments = [watch.look() for _ in range(3)]
    assert [moment.state for moment in moments] == ["finished"] * 3
    assert opened == [{"bulk": False}]
    assert moments[0].run is not None
    assert moments[0].run.iterates == moments[0].run.problem == {}
    ist_mpi.run(configuration("merge", "n > d"), out=log, force=True)
    again = watch.look()
    assert again.run is not None
    assert len(again.run.x) == 3
    assert len(opened) == 2
    log.unlink()
    assert watch.look().state == "absent"


def test_an_old_log_is_as_old_as_it_is(log: Path) -> None:
    before = time.time() - 1000
    os.utime(log, (before, before))
    assert Watch(log).look().age == pytest.approx(1000, abs=30)
    os.utime(log, (before + 5000, before + 5000))  # another clock
    assert Watch(log).look().age < 30


def test_reading_takes_a_small_share_of_the_time(log: Path) -> None:
    watch = Watch(log)
    assert watch.pause(2.0) == 2.0
    watch._took = 3.0
    assert watch.pause(2.0) == 60.0


def test_a_log_replaced_while_it_is_read_is_read_again(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, real = log.read_bytes(), runlog.open_run
    log.write_bytes(whole[:-300])

    def replaced(path: Path, **more: Any) -> runlog.Run:
        try:
            return real(path, **more)
        finally:
            log.write_bytes(whole)

    monkeypatch.setattr(runlog, "open_run", replaced)
    assert Watch(log).look().state == "finished"


def test_a_run_that_begins_and_ends_during_a_look(
    log: Path, finished: runlog.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was no lock before, there is none after, and the log was read in between."""
    real, opened = runlog.open_run, []

    def in_between(path: Path, **more: Any) -> runlog.Run:
        opened.append(path)
        if len(opened) == 2:
            return real(path, **more)
        os.utime(path, (1.0, 1.0))  # the run ends, at another time
        return as_if(finished, "running")

    monkeypatch.setattr(runlog, "open_run", in_between)
    assert Watch(log).look().state == "finished"
    assert len(opened) == 2


def test_damage_is_damage(log: Path) -> None:
    contents = bytearray(log.read_bytes())
    contents[len(contents) // 2] ^= 1
    log.write_bytes(contents)
    with pytest.raises(ist_mpi.InputError) as raised:
        Watch(log).look()
    assert raised.value.exit_code == 65


@pytest.mark.parametrize(("times", "state"), [(1, "finished"), (99, "unreadable")])
def test_stale_handles_are_tried_again(
    log: Path, monkeypatch: pytest.MonkeyPatch, times: int, state: str
) -> None:
    """As NFS answers where another host has replaced the file that is open here."""
    real, failed = runlog.open_run, []

    def stale(path: Path, **more: Any) -> runlog.Run:
        if len(failed) < times:
            failed.append(path)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(path, **more)

    monkeypatch.setattr(runlog, "open_run", stale)
    watch = Watch(log)
    assert watch.look().state == state
    monkeypatch.setattr(runlog, "open_run", real)
    assert watch.look().state == "finished"  # also after it could not be read


def test_a_path_that_can_never_be_a_log_is_refused(log: Path) -> None:
    for path, words in ((log.parent, "directory"), (log / "run.h5", "ot a directory")):
        with pytest.raises(ist_mpi.InputError, match=words):
            Watch(path).look()


def test_checkpoints_without_a_log(tmp_path: Path) -> None:
    log = tmp_path / "run.h5"
    for k in (100, 4000):
        (checkpoint.folder_of(log) / f"{k:012d}").mkdir(parents=True)
    moment = Watch(log).look()
    assert moment.state == "absent"
    assert "only a checkpoint, of round 4000" in moment.note


# Locks


HOLDER = """
import sys, time
from pathlib import Path
from ist_mpi.store.locks import locked
with locked(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A log without contents, and a process that has its lock."""
    log = tmp_path / "held.h5"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(log)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    yield log, process
    process.kill()
    process.wait()


def test_who_has_a_lock_is_seen_from_outside(holder: tuple[Path, subprocess.Popen[str]]) -> None:
    log, process = holder
    seen = locks.look(log)
    assert seen.state == "held"
    assert str(process.pid) in seen.holder
    process.kill()
    process.wait()
    assert locks.look(log).state == "left"
    with locks.locked(log):  # what was left is no hindrance
        assert locks.look(log).state == "held"
    assert locks.look(log).state == "free"


def test_locks_of_other_hosts_and_of_files_without_locks(tmp_path: Path) -> None:
    log = tmp_path / "run.h5"
    lock = locks.path_of(log)
    lock.write_text('{"host": "far", "pid": 1, "slurm_job_id": ""}')
    assert locks.look(log) == Lock("unknown", "process 1 on far")
    lock.write_text("")  # just made
    assert locks.look(log).state == "unknown"
    lock.unlink()
    mine = {**locks.whoami(), "pid": 2**22 + 1}  # there is no such process
    log.with_name("run.h5.locked").write_text(str(mine).replace("'", '"'))
    assert locks.look(log).state == "left"


def test_looking_keeps_nobody_out(tmp_path: Path) -> None:
    """While others look without a pause, every try to take the lock succeeds."""
    log, over = tmp_path / "run.h5", threading.Event()
    seen = set()

    def look() -> None:
        while not over.is_set():
            seen.add(locks.look(log).state)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            with locks.locked(log):
                pass
        with locks.locked(log):
            wait_for(lambda: "held" in seen)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert "left" not in seen


# What is shown


def _line(moment: Moment) -> str:
    from ist_mpi.cli.report.live import line

    return line(moment)


def test_lines_are_one_per_change(finished: runlog.Run, capsys: pytest.CaptureFixture[str]) -> None:
    running = as_if(finished, "running", [0, 5, 10], [0, 1, 2])
    later = as_if(finished, "running", [0, 5, 15], [0, 1, 2])
    with LiveReport() as show:
        for moment in (
            judged(None, FREE),
            judged(None, FREE),
            judged(running, HERE, 0.5),
            judged(running, HERE, 1.5),
            judged(later, HERE, 0.1),
            judged(later, FAR, 100.0),
            judged(later, FAR, 102.0),
            judged(as_if(finished, "finished"), FREE),
        ):
            show(moment)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "folder/name.h5: absent: nothing there yet"
    assert lines[1].startswith("name seed 5: round 10/25  5 rounds/s  2.5 s left  relative gap ")
    assert lines[2].startswith("name seed 5: round 15/25")
    assert lines[3].endswith("no news for 1 min 40 s")
    assert "finished" in lines[4]
    assert len(lines) == 5
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", "".join(lines))


def dots(text: str) -> set[tuple[int, int]]:
    """The dots of a drawing in braille: (column, line), counted in dots from the upper left."""
    bits = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
    found = set()
    for row, line in enumerate(text.splitlines()):
        for column, letter in enumerate(line):
            code = ord(letter) - 0x2800
            if 0 < code < 256:
                found |= {
                    (2 * column + x, 4 * row + y) for i, (x, y) in enumerate(bits) if code >> i & 1
                }
    return found


def test_the_plot_is_logarithmic() -> None:
    rounds = np.arange(0, 101)
    gaps = 10.0 ** (-4 * rounds / 100)  # a straight line over four decades
    gaps[50] = np.nan
    text = curve(rounds, gaps, 200, [], (60, 15))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 60
    assert len(lines) <= 15
    labels = [line.split()[0] for line in lines if re.match(" *1e", line)]
    assert labels == ["1e+00", "1e-01", "1e-02", "1e-03", "1e-04"]
    found = dots(text)
    left, right = min(found), max(found)
    height = right[1] - left[1]
    assert height >= 4 * 7
    for x, y in found:
        expected = left[1] + height * (x - left[0]) / (right[0] - left[0])
        assert abs(y - expected) <= 2
    ends = dots(curve(rounds, gaps, 100, [], (60, 15)))
    assert max(ends)[0] - min(ends)[0] == pytest.approx(2 * (right[0] - left[0]), abs=3)


@pytest.mark.slow
def test_powers_of_ten_begin_lines() -> None:
    """Also where there are more of them than lines."""
    rounds = np.arange(0, 101)
    for powers, lines in ((4, 11), (9, 9), (9, 8), (300, 12)):
        text = curve(rounds, 10.0 ** (-powers * rounds / 100), 100, [], (80, lines + 4))
        found = [float(line.split()[0]) for line in text.splitlines() if re.match(" *1e", line)]
        steps = np.diff(np.log10(found))
        assert found[0] == 1.0
        assert found[-1] <= 10.0**-powers
        np.testing.assert_allclose(steps, steps[0], rtol=1e-6)
        heights = {y // 4 for _, y in dots(text)}
        assert len(heights) <= lines


def test_a_level_is_drawn_across() -> None:
    rounds, gaps = np.arange(3), np.array([1.0, 0.1, 0.01])
    with_level = dots(curve(rounds, gaps, 100, [1e-3], (80, 15)))
    row = max(y for _, y in with_level)
    places = sorted(x for x, y in with_level if y == row)
    assert len(places) > 20
    assert places[-1] - places[0] > 100


@pytest.mark.parametrize(
    ("gaps", "size"),
    [
        ([1.0], (80, 20)),
        ([np.nan, np.inf, 0.0], (80, 20)),
        ([1.0, 0.5], (20, 20)),
        ([1.0, 0.5], (80, 4)),
    ],
)
def test_what_cannot_be_drawn_is_not(gaps: list[float], size: tuple[int, int]) -> None:
    assert curve(np.arange(len(gaps)), np.array(gaps), 100, [1e-3], size) == ""


# The command


WATCH = ["-m", "ist_mpi", "watch"]


class Others:
    """Runs and watches as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, out: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        self._started.append(process)
        return process

    def run(self, *sets: str) -> subprocess.Popen[str]:
        """A run that goes on for very long, unless it is told otherwise."""
        more = [word for text in sets for word in ("--set", text)]
        return self.start("-m", "ist_mpi", "run", "long.toml", "--out", "run.h5", *more)

    def clear(self) -> None:
        for process in self._started:
            with suppress(ProcessLookupError):
                process.kill()
            process.communicate()


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Others]:
    from ist_mpi.config import load

    (tmp_path / "long.toml").write_text(load(LONG).to_toml())
    here = Others(tmp_path)
    yield here
    here.clear()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_from_before_the_start_to_the_end(others: Others) -> None:
    watch = others.start(*WATCH, "run.h5", "--interval", "0.1")
    assert watch.stdout is not None
    first = watch.stdout.readline()
    assert first == "run.h5: absent: nothing there yet\n"
    run = others.run("run.rounds=2000")
    assert run.wait(timeout=PATIENCE) == 0
    code, out, err = ended(watch)
    assert (code, err) == (0, "")
    assert "round 2000/2000" in out
    assert "finished (rounds)" in out
    assert "\x1b" not in out


def test_stopped_then_taken_up_then_killed(others: Others) -> None:
    """SIGTERM, --follow, resume, SIGKILL; the run itself never notices that it is watched."""
    log = others.folder / "run.h5"
    run = others.run()
    said = others.folder / "said.txt"
    with said.open("w") as out:
        busy = others.start(*WATCH, "run.h5", "--interval", "0.1", "--follow", out=out)
    wait_for(log.exists)
    one = others.start(*WATCH, "run.h5", "--interval", "0.1")
    once = ended(others.start(*WATCH, "run.h5", "--once"))
    assert once[0] == 0
    assert re.match(r"run seed 0: round \d+/1000000000 ", once[1])
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=PATIENCE) == 75
    code, out, err = ended(one)
    assert code == 75
    assert "stopped (SIGTERM)" in out
    assert "ist-mpi resume run.h5 goes on" in out
    # It looks more rarely where reading a log takes long.
    wait_for(lambda: "stopped" in said.read_text())
    assert busy.poll() is None
    stopped = ist_mpi.open_run(log)
    again = others.start("-m", "ist_mpi", "resume", "run.h5")
    wait_for(lambda: ist_mpi.open_run(log).status == "running")
    again.kill()
    again.wait()
    code, out, err = ended(others.start(*WATCH, "run.h5", "--interval", "0.1"))
    assert code == 75
    assert f"process {again.pid} on" in out
    assert "was killed" in out
    wait_for(lambda: "was killed" in said.read_text())
    assert busy.poll() is None
    busy.send_signal(signal.SIGINT)
    code, _, err = ended(busy)
    assert (code, err) == (130, "")
    text = said.read_text()
    assert text.index("stopped") < text.index("was killed")
    assert stopped.rounds["round"][-1] <= ist_mpi.open_run(log).rounds["round"][-1]


def test_divergence_and_damage(others: Others) -> None:
    assert others.run("method.step_size=1.0").wait(timeout=PATIENCE) == 1
    code, out, err = ended(others.start(*WATCH, "run.h5"))
    assert code == 1
    assert "failed (diverged" in out
    assert err.startswith("ist-mpi: diverged")
    log = others.folder / "run.h5"
    log.write_bytes(log.read_bytes()[:-100])
    code, out, err = ended(others.start(*WATCH, "run.h5"))
    assert code == 65
    assert err.count("\n") == 1
    assert ended(others.start(*WATCH, "long.toml"))[0] == 2
    code, out, _ = ended(others.start(*WATCH, "missing.h5", "--once"))
    assert (code, out) == (2, "missing.h5: absent: nothing there yet\n")


def test_nobody_listens_any_more(others: Others) -> None:
    watch = others.start(*WATCH, "run.h5", "--interval", "0.1")
    assert watch.stdout is not None
    assert watch.stdout.readline()
    watch.stdout.close()
    (others.folder / "run.ckpt" / f"{5:012d}").mkdir(parents=True)  # news
    assert watch.wait(timeout=PATIENCE) == 128 + signal.SIGPIPE
    assert watch.stderr is not None
    assert watch.stderr.read() == ""


def test_on_a_terminal(others: Others) -> None:
    """A view with a bar and a plot, and the cursor back at the end."""
    log = others.folder / "run.h5"
    others.run("run.rounds=3000", "log.every=10").wait(timeout=PATIENCE)
    status = ist_mpi.open_run(log)
    assert status.status == "finished"
    main, side = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(
        [sys.executable, *WATCH, str(log)], stdout=side, stderr=side, env=environment
    )
    os.close(side)
    shown = b""
    with suppress(OSError):  # EIO at the end
        while piece := os.read(main, 65536):
            shown += piece
    os.close(main)
    assert process.wait(timeout=PATIENCE) == 0
    text = shown.decode()
    assert "3000/3000 rounds" in text
    assert "1e-01 |" in text
    assert len(dots(text)) > 100
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
