"""The words of figures: quantities, numbers, lists."""

from collections.abc import Sequence
from typing import Any

LABELS = {
    "round": "communication round",
    "floats": "floats sent and received per worker",
    "floats_up": "floats sent per worker",
    "seconds": "wall-clock time [s]",
    "gap": "gap  $f(x^k) - f^*$",
    "relative_gap": "relative gap  $(f(x^k) - f^*)\\,/\\,(f(x^0) - f^*)$",
    "distance_to_solution": "distance to the solution  $\\|x^k - x^*\\|$",
    "distance_to_fixed_point": "distance to the fixed point  $\\|x^k - x^\\infty\\|$",
    "gradient_norm_squared": "$\\|\\nabla f(x^k)\\|^2$",
    "gradient_norm_squared_w": "$(x^k - x^*)^\\top \\bar{W} (x^k - x^*)$",
    "relative_distance_to_fixed_point": "$\\|x^k - x^\\infty\\|\\,/\\,\\|x^0 - x^\\infty\\|$",
    "distance": "distance",
    "squared_distance": "$\\|x^k - x^*\\|^2_{\\bar{L}}\\,/\\,\\|x^0 - x^*\\|^2_{\\bar{L}}$",
    "floats_over_least": "floats / those of the cheapest method",
    "gap_over_fixed_point": "gap of $x^k$ / gap of $x^\\infty$",
    "measured_over_exact": "mean of runs / exact $E f(x^k) - f^*$",
    "sketch": "",
    "error_norm": "norm of  $(1/n) \\sum C_i - I$",
    "coordinate": "coordinate $j$",
    "value": "$f(x^k)$",
    "coordinate_value": "$x_j$",
    "deviation": "mean of runs $-\\, x^\\infty_j$",
    "runs": "independent runs",
    "mean_error": "$\\|$mean of runs $-\\, x^\\infty\\|$",
    "step_size": "step size $\\gamma$",
    "step_over_limit": "step size $\\gamma / \\gamma_{\\max}$",
    "factor": "factor a round",
    "l2": "regularisation $\\lambda$",
    "fixed_point_gap_over_zero": "gap of $x^\\infty$ / gap of $x = 0$",
    "norm": "norm",
    "submodel_gap": "gap of what submodels minimise",
    "train_loss": "loss on training samples",
    "test_loss": "loss on held-out samples",
    "train_accuracy": "accuracy on training samples",
    "test_accuracy": "accuracy on held-out samples",
    "rounds_needed": "rounds to the neighbourhood",
    "neighbourhood": "relative gap in the limit",
    "local_steps": "local steps",
    "share": "share of instances with $\\bar{W} \\succeq 0$",
    "q": "block size $q$",
    "n": "workers $n$",
    "ranks": "ranks $p$",
    "case": "",
    "speedup": "speedup over one rank",
    "efficiency": "efficiency",
    "share_of_round": "share of the round",
    "bytes": "bytes of a message",
    "operation_seconds": "time of an operation [s]",
    "round_seconds": "time of a round [s]",
    "measured_seconds": "measured round [s]",
    "modelled_seconds": "modelled round [s]",
    "spread": "spread of the scales (decades)",
    "correlation": "correlation  $c\\,/\\,\\sqrt{ab}$",
}
"""Quantities by the names that the tables use, with the words of the axes."""


def shown(value: Any) -> str:
    """A setting as it would be typed: 1e-4, not 0.0001."""
    if not isinstance(value, float):
        return str(value)
    text = f"{value:e}" if 0 < abs(value) < 1e-2 or abs(value) >= 1e5 else f"{value:g}"
    digits, e, exponent = text.partition("e")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{digits}e{int(exponent)}" if e else digits


def plain_text(text: str) -> str:
    """A name from elsewhere, as a label shows it: on one line, and no formula."""
    printable = (sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return "".join(printable).replace("$", "\\$")


def rounded(value: float, digits: int = 2) -> str:
    """A measured number in a sentence, to so many significant digits."""
    return shown(float(f"{value:.{digits - 1}e}"))


def listed(items: Sequence[str]) -> str:
    """Words in a sentence: a, b and c."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)
