"""The rules between settings: what does not go together."""

from collections.abc import Iterator, Mapping
from typing import Any

Rule = tuple[str, str, str]
"""A broken rule between settings: the key, what was got, what is expected."""


def broken_rules(section: str, values: Mapping[str, Any]) -> Iterator[Rule]:
    """The rules between the settings of a table that its values break, right or wrong as types."""
    if section == "problem" and values.get("kind") == "ridge":
        given = [key for key in ("path", "dataset") if values.get(key) is not None]
        if len(given) != 1:
            got = "both path and dataset" if given else "neither path nor dataset"
            yield "path", got, "exactly one of path and dataset"
    if section == "problem" and values.get("kind") == "arrays":
        arrays = [key for key in ("L", "b", "x0") if values.get(key) is not None]
        if values.get("digest") is not None:
            yield "digest", "a problem that was in memory", "its L and b themselves, or a path"
        elif values.get("path") is not None and arrays:
            yield "path", f"path and {', '.join(arrays)}", "either path, or L and b (and x0)"
        elif values.get("path") is None and not {"L", "b"} <= set(arrays):
            yield "path", "neither path nor (L, b)", "either path, or both L and b"
    if section == "method":
        yield from _broken_method_rules(values)


def _broken_method_rules(values: Mapping[str, Any]) -> Iterator[Rule]:
    name = values.get("name")
    if name == "gradient_descent":
        values = {**values, "sketch": "identity", "scaling": "unbiased"}
    sketch = values.get("sketch", "permutation")
    scaling = values.get("scaling", "unbiased")
    steps = values.get("local_steps", 1)
    if sketch == "rand" and values.get("q") is None:
        yield "q", "nothing", 'the size of the random blocks, with sketch = "rand"'
    if scaling in ("unscaled", "preconditioned") and not (
        sketch == "permutation" and name == "ist"
    ):
        yield (
            "scaling",
            f'"{scaling}" with name = "{name}", sketch = "{sketch}"',
            '"unbiased" (the other scalings belong to ist with the permutation sketch)',
        )
    size = values.get("group_size", 1)
    if sketch in ("identity", "rand") and name != "gradient_descent" and _more_than_one(size):
        got = f'{size} with sketch = "{sketch}"'
        yield "group_size", got, "1 (only the permutation sketch moves groups of coordinates)"
    if values.get("step_size") == "theory":
        form = values.get("form")
        if _more_than_one(steps):
            got = f'"theory" with local_steps = {steps}'
            yield "step_size", got, "a number: Theorem 1 is about one local step"
        if name == "ist" and form == "merge" and (sketch == "rand" or scaling == "preconditioned"):
            got = f'"theory" with form = "merge", sketch = "{sketch}", scaling = "{scaling}"'
            yield "step_size", got, "a number: Theorem 1 is about the estimator form here"
    if name in ("gradient_descent", "dcgd") and _more_than_one(steps):
        yield "local_steps", f'{steps} with name = "{name}"', "1 (only ist takes local steps)"


def _more_than_one(value: Any) -> bool:
    """Whether a setting is an integer above 1; what it is otherwise, its type says.

    One beyond the largest allowed may have more digits than Python writes.
    """
    return isinstance(value, int) and 1 < value < 2**31
