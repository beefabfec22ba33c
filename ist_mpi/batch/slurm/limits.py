"""What the cluster allows."""

import re
import subprocess

DEFAULT_ARRAY = 1001
"""SLURM's own MaxArraySize, where nothing else is configured."""


def max_array_size() -> int:
    """MaxArraySize: the numbers of tasks are below it; SLURM's own where nobody can be asked."""
    try:
        done = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return DEFAULT_ARRAY
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", done.stdout, re.MULTILINE)
    return int(found[1]) if found and int(found[1]) > 1 else DEFAULT_ARRAY
