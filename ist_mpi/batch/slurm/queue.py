"""Into the queue: sbatch."""

import os
import subprocess

from ist_mpi.errors import SubmitError

_OF_THIS_JOB = {"SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"}
"""What a job that submits another would hand down, and SLURM does not set in every job."""
_OTHER_NAMES = {"time": "TIMELIMIT", "array": "ARRAY_INX"}
"""Options whose environment variable is not called like them."""


def submit(text: str) -> str:
    """Submit the text of a job from the current folder; its number.

    What the text asks for holds, also against SBATCH_ACCOUNT and the like in the environment.
    Raises SubmitError if there is no sbatch, or it refuses; then nothing is in the queue.
    """
    try:
        done = subprocess.run(
            ["sbatch", "--parsable"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            env=_environment(text),
        )
    except FileNotFoundError:
        raise SubmitError(
            "there is no sbatch on PATH: submit from a login node of a SLURM cluster, "
            "or use --dry-run to see the job"
        ) from None
    except OSError as error:
        raise SubmitError(f"sbatch cannot be started: {error.strerror or error}") from error
    number = done.stdout.strip().partition(";")[0]  # a federation adds ;CLUSTER
    if done.returncode != 0 or not number.isdecimal():
        reason = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise SubmitError(f"sbatch refused the job: {reason}")
    return number


def _environment(text: str) -> dict[str, str]:
    """This process's, without the defaults for sbatch that the text replaces."""
    options = [line.split()[1] for line in text.splitlines() if line.startswith("#SBATCH --")]
    names = [option.partition("=")[0].removeprefix("--") for option in options]
    replaced = {
        f"SBATCH_{_OTHER_NAMES.get(name, name.upper().replace('-', '_'))}" for name in names
    }
    replaced |= {"SBATCH_NO_REQUEUE"} | _OF_THIS_JOB
    return {name: value for name, value in os.environ.items() if name not in replaced}
