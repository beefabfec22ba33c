"""Methods without bias under test."""

from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    "shared block": {"name": "shared_block"},
    "shared block, nesterov": {"name": "shared_block", "momentum": "nesterov"},
    "gradient descent, nesterov": {"name": "gradient_descent", "momentum": "nesterov"},
    "anchored": {"name": "anchored"},
    "anchored, tight": {"name": "anchored", "alpha": "tight"},
    "anchored, m = 5": {"name": "anchored", "alpha": 1.5, "refresh": 5},
    "anchored, by chance": {"name": "anchored", "refresh_probability": 0.3},
    "stale": {"name": "stale"},
    "stale, tau": {"name": "stale", "tau": 0.25},
    "marina_p": {"name": "marina_p"},
    "diana": {"name": "diana"},
    "diana, rand": {"name": "diana", "sketch": "rand", "q": 2},
    "ef21": {"name": "ef21"},
    "ef21, rand": {"name": "ef21", "sketch": "rand", "q": 2},
    "marina": {"name": "marina"},
    "marina, rand": {"name": "marina", "sketch": "rand", "q": 2},
    "marina, p": {"name": "marina", "refresh_probability": 0.4},
    "scaffnew": {"name": "scaffnew"},
}
