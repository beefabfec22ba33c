"""The columns of the log of a run: units and long names."""

from collections.abc import Mapping

COLUMNS: dict[str, tuple[str, str]] = {
    "round": ("1", "communication round"),
    "seconds": ("s", "wall-clock time since round 0, logging included"),
    "gap": ("1", "f(x) - f*"),
    "relative_gap": ("1", "(f(x) - f*) / (f(x0) - f*)"),
    "distance_to_solution": ("1", "Euclidean distance to x*"),
    "distance_to_fixed_point": ("1", "Euclidean distance to the predicted fixed point"),
    "gradient_norm_squared": ("1", "squared Euclidean norm of the gradient of f"),
    "gradient_norm_squared_w": ("1", "(x - x*)' W (x - x*), the left side of eq. (15)"),
    "floats_up": ("1", "numbers sent by a worker so far, mean over workers"),
    "floats_down": ("1", "numbers sent to a worker so far, mean over workers"),
}
"""Of /rounds, in this order. All float64 but `round`, which is int64."""

OF_FUNCTIONS: dict[str, tuple[str, str]] = {
    "round": COLUMNS["round"],
    "seconds": COLUMNS["seconds"],
    "value": ("1", "f(x)"),
    **{name: COLUMNS[name] for name in ("gap", "relative_gap", "distance_to_solution")},
    **{name: COLUMNS[name] for name in ("gradient_norm_squared", "floats_up", "floats_down")},
}
"""The same, where f is not quadratic."""


def of_functions(
    further: Mapping[str, tuple[str, str]], fixed_point: bool
) -> dict[str, tuple[str, str]]:
    """Those of a problem that measures more; `fixed_point`: whether x∞ is known."""
    found = {name: words for name, words in OF_FUNCTIONS.items() if not name.startswith("floats")}
    if fixed_point:
        found["distance_to_fixed_point"] = COLUMNS["distance_to_fixed_point"]
    return {**found, **further, **OF_FUNCTIONS}
