"""The methods, one file each: how a round takes x^k to x^{k+1}.

ist                 Algorithm 1: independent subnetwork training
gradient_descent    the baseline that sends whole models
dcgd                compressed gradient descent, eq. (33): whole model down, sketched gradient up

A method owns the model and whatever else it carries from round to round; the rest is the rank's
`Bench`. All that it carries is in its `state`, so that a run can stop and go on.
"""

from typing import Protocol

from ist_mpi.config import Method as Settings
from ist_mpi.methods.bench import Bench, Float64
from ist_mpi.methods.dcgd import CompressedGradientDescent
from ist_mpi.methods.gradient_descent import GradientDescent
from ist_mpi.methods.ist import IndependentSubnetworkTraining


class Method(Protocol):
    """One method at work."""

    x: Float64
    """The model, shape (d,), where the exchange holds it."""
    floats_down: float
    """Numbers sent to a worker in a round, mean over the workers, indices not counted."""
    floats_up: float
    """Numbers sent by a worker in a round, likewise."""

    def state(self) -> dict[str, Float64]:
        """All that is carried from round to round, arrays of shape (d,) by name.

        The arrays themselves, not copies: who fills them restores the method. They are up to date
        on every rank once the exchange has shared the model.
        """

    def rounds(self, first: int, last: int) -> None:
        """Rounds first … last − 1: take x^first to x^last; collective."""


def start(settings: Settings, bench: Bench, x0: Float64) -> Method:
    """The configured method at x⁰."""
    if settings.name == "gradient_descent":
        return GradientDescent(settings, bench, x0)
    if settings.name == "dcgd":
        return CompressedGradientDescent(settings, bench, x0)
    return IndependentSubnetworkTraining(settings, bench, x0)
