"""Configurations to begin with, as `ist-mpi new` writes them."""

from importlib import resources

NAMES = {
    "figure1a": "the paper's heterogeneous quadratic, d = 1000, n = 10",
    "ridge": "ridge regression on a real data set, split over 8 workers",
    "bias_free": "a method that reaches the solution",
    "sweep": "a grid of step sizes, workers and seeds over figure1a.toml",
}
"""With what each is."""


def text_of(name: str) -> str:
    """The TOML of an example."""
    return resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
