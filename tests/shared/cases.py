"""The methods under test: every method, sketch, scaling, form, and relation of n and d."""

from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    "merge": {"name": "ist"},
    "estimator": {"name": "ist", "form": "estimator"},
    "merge, 3 local steps": {"name": "ist", "local_steps": 3},
    "estimator, 3 local steps": {"name": "ist", "form": "estimator", "local_steps": 3},
    "unscaled merge": {"name": "ist", "scaling": "unscaled"},
    "unscaled estimator": {"name": "ist", "scaling": "unscaled", "form": "estimator"},
    "unscaled merge, 2 local steps": {"name": "ist", "scaling": "unscaled", "local_steps": 2},
    "preconditioned estimator": {"name": "ist", "scaling": "preconditioned"},
    "preconditioned merge": {"name": "ist", "scaling": "preconditioned", "form": "merge"},
    "preconditioned, 3 local steps": {
        "name": "ist",
        "scaling": "preconditioned",
        "local_steps": 3,
    },
    "rand estimator": {"name": "ist", "sketch": "rand", "q": 2},
    "rand merge": {"name": "ist", "sketch": "rand", "q": 2, "form": "merge"},
    "rand, 2 local steps": {"name": "ist", "sketch": "rand", "q": 2, "local_steps": 2},
    "identity merge": {"name": "ist", "sketch": "identity"},
    "identity, 4 local steps": {"name": "ist", "sketch": "identity", "local_steps": 4},
    "gradient descent": {"name": "gradient_descent"},
    "dcgd, permutation": {"name": "dcgd"},
    "dcgd, rand": {"name": "dcgd", "sketch": "rand", "q": 2},
}

GROUPED = {
    name: settings
    for name, settings in VARIANTS.items()
    if settings["name"] != "gradient_descent" and "sketch" not in settings
}
"""Those whose permutation can move groups of coordinates."""

GROUPS: dict[str, tuple[int, int, int]] = {
    "n | d/g": (2, 8, 2),
    "n ∤ d/g": (2, 9, 3),
    "n = d/g": (3, 6, 2),
    "n > d/g": (3, 4, 2),
    "n > d/g, n > d": (5, 4, 2),
    "n = 1, d/g = 2": (1, 6, 3),
    "g = d": (3, 4, 4),
}
"""(n, d, g)."""

SHAPES: dict[str, tuple[int, int]] = {
    "n divides d": (3, 6),
    "n does not divide d": (3, 7),
    "n = d": (5, 5),
    "n > d": (7, 3),
    "n > d, d divides n": (6, 3),
    "n = 1": (1, 4),
    "d = 2": (4, 2),
}


def configuration(variant: str, shape: str, **run: Any) -> dict[str, Any]:
    """A small configuration of one variant, everything logged."""
    n, d = SHAPES[shape]
    return {
        "problem": {"kind": "synthetic", "d": d, "n": n, "seed": 11},
        "method": {"step_size": 1e-3, **VARIANTS[variant]},
        "run": {"rounds": 25, "seed": 5, **run},
        "log": {"iterates": True, "permutations": True, "problem": True},
    }
