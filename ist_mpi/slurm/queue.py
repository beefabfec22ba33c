"""Into the queue: sbatch."""

import subprocess

from ist_mpi.errors import SubmitError


def submit(text: str) -> str:
    """Submit the text of a job from the current folder; its number.

    Raises
    ------
    SubmitError
        If there is no sbatch, or it refuses; then nothing is in the queue.
    """
    try:
        done = subprocess.run(
            ["sbatch", "--parsable"], input=text, capture_output=True, text=True, check=False
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
