"""The built-in methods and sketches as exact theory knows them: the only place with their names."""

from ist_mpi import sketches_law
from ist_mpi.config import Method
from ist_mpi.exact_theory.step import Known, Step
from ist_mpi.sketches_law import Exchangeable


def step_and_law(method: Method, n: int, d: int) -> Known:
    """The step of a method, and the law of its sketch for n workers and d coordinates.

    Raises
    ------
    InputError
        If the sketch's groups do not divide d.
    """
    subject = f'"{method.name}" with sketch = "{method.sketch}"'
    if method.name == "dcgd":
        return Known(Step(two_sided=False), _law(method, n, d), subject)
    step = Step(multiplies_model=method.multiplies_model, local_steps=method.local_steps)
    return Known(step, _law(method, n, d), subject)


def _law(method: Method, n: int, d: int) -> Exchangeable:
    if method.sketch == "identity":
        return sketches_law.identity(n, d)
    if method.sketch == "rand":
        return sketches_law.rand(n, d, int(method.q or d))
    method.groups(d)  # which says so where they do not divide d
    return sketches_law.permutation(n, d, method.group_size, method.scaling)
