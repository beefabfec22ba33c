"""Runs in processes of their own that stay in their main loop until they are asked to stop.

What is tested of a run that is under way then does not depend on how soon it would be over.
"""

import os
from pathlib import Path

ROUND = 1000
"""A run stays at its first look at or after this round."""
SECONDS = 600
"""Not longer, so that nothing outlives a test that fails."""
_SITE = """
import os
import sys
import time


class Holding:
    def find_spec(self, name, *_):
        if name == "ist_mpi.runner":
            sys.meta_path.remove(self)
            hold()


def hold():
    from ist_mpi import record, signals

    look = record.Record.look

    def held(self, k):
        look(self, k)
        if k >= {round}:
            open(os.path.join({folder!r}, f"at-{{self._config.run.seed}}"), "w").close()
            over = time.monotonic() + {seconds}
            while not signals.requested() and time.monotonic() < over:
                time.sleep(0.01)

    record.Record.look = held


sys.meta_path.insert(0, Holding())
"""


class Held:
    """The environment that holds the runs of all processes that get it.

    Parameters
    ----------
    folder : Path
        A new one, for its files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder = folder.resolve()
        # Every python looks for a module of this name when it starts.
        text = _SITE.format(round=ROUND, seconds=SECONDS, folder=str(folder))
        (folder / "sitecustomize.py").write_text(text)
        paths = [str(folder), os.environ.get("PYTHONPATH", "")]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def there(self, seed: int) -> bool:
        """Whether the run of this seed has come to where it stays."""
        return (self._folder / f"at-{seed}").exists()
