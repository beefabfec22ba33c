"""Runs in processes of their own that stay in their main loop until they are asked to stop.

What is tested of a run that is under way then does not depend on how soon it would be over.
"""

import os
from collections.abc import Collection
from pathlib import Path

SECONDS = 600
"""Not longer, so that nothing outlives a test that fails."""
_SITE = """
import os
import sys
import time


class Holding:
    def find_spec(self, name, *_):
        if name == "ist_mpi.training.loop":
            sys.meta_path.remove(self)
            hold()


def hold():
    from ist_mpi.training import record
    from ist_mpi.parallel import signals

    look, save, saved = record.Record.look, record.Record.save, []

    def kept(self, k):
        save(self, k)
        saved.append(k)

    def is_place(self, k):
        seed = self._config.run.seed
        here = {task!r} in ("", os.environ.get("SLURM_ARRAY_TASK_ID"))
        return here and self.on_root and k >= {round} and (saved or not {kept}) and seed in {seeds}

    def first(name):
        try:
            open(os.path.join({folder!r}, name), "x").close()
        except FileExistsError:
            return False
        return True

    def held(self, k):
        look(self, k)
        if not is_place(self, k):
            return
        record.Record.look = look
        if any(first(f"at-{{self._config.run.seed}}-{{i}}") for i in range({times})):
            over = time.monotonic() + {seconds}
            while not signals.requested() and time.monotonic() < over:
                time.sleep(0.01)

    record.Record.look, record.Record.save = held, kept


sys.meta_path.insert(0, Holding())
"""


class Held:
    """The environment that holds the runs of all processes that get it.

    Parameters
    ----------
    folder : Path
        A new one, for its files.
    seeds : collection of int
        The run seeds of those that stay; the others go on.
    round : int
        They stay at their first look at or after this round.
    kept : bool
        Not before there is a checkpoint.
    times : int
        How many starts of a run stay; the next one goes on.
    task : str
        Of a batch system's array, the only one whose runs stay.
    """

    def __init__(
        self,
        folder: Path,
        seeds: Collection[int] = (0,),
        round: int = 1,
        kept: bool = False,
        times: int = 1,
        task: str = "",
    ) -> None:
        folder.mkdir()
        self._folder = folder = folder.resolve()
        # Every python looks for a module of this name when it starts.
        text = _SITE.format(
            round=round,
            seconds=SECONDS,
            folder=str(folder),
            seeds=tuple(seeds),
            kept=kept,
            times=times,
            task=task,
        )
        (folder / "sitecustomize.py").write_text(text)
        paths = [str(folder), os.environ.get("PYTHONPATH", "")]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def there(self, seed: int = 0, time: int = 0) -> bool:
        """Whether the run of this seed has come to where it stays, for the first time or later."""
        return (self._folder / f"at-{seed}-{time}").exists()
