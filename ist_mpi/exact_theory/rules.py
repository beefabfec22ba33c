"""A step size that a word stood for, and which rule gave it."""

from typing import NamedTuple

from ist_mpi.errors import Fault, InputError


class StepRule(NamedTuple):
    """A step size and where it comes from."""

    step_size: float
    formula: str
    """In a few words and symbols."""
    proved: bool
    """Whether a theorem covers it."""
    checked: bool = True
    """Else whether it was seen to converge on every problem tried."""

    @property
    def words(self) -> str:
        """What the log says of it."""
        status = "proved" if self.proved else "checked, not proved"
        return f"{self.formula} ({status if self.proved or self.checked else 'not checked'})"


def no_rule(word: str, why: str, expected: str = "a number") -> InputError:
    """What every rank raises where there is no rule, all having come to the same."""
    error = InputError(Fault("method.step_size", f'"{word}", but {why}', expected))
    error.agreed = True
    return error
