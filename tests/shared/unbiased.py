"""Methods without bias under test."""

from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    "shared block": {"name": "shared_block"},
    "shared block, nesterov": {"name": "shared_block", "momentum": "nesterov"},
    "gradient descent, nesterov": {"name": "gradient_descent", "momentum": "nesterov"},
}
