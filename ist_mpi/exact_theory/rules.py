"""A step size that a word stood for, and which rule gave it."""

from typing import NamedTuple

from ist_mpi.errors import Fault, InputError


class StepRule(NamedTuple):
    """A step size and where it comes from."""

    step_size: float
    formula: str
    """In a few words and symbols."""
    proved: bool
    """Whether a theorem covers it; else it was seen to converge on every problem tried."""

    @property
    def words(self) -> str:
        """What the log says of it."""
        return f"{self.formula} ({'proved' if self.proved else 'checked, not proved'})"


def no_rule(word: str, why: str, expected: str = "a number") -> InputError:
    """What every rank raises where there is no rule, all having come to the same."""
    error = InputError(Fault("method.step_size", f'"{word}", but {why}', expected))
    error.agreed = True
    return error
