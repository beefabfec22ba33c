"""Sums of products whose order is chosen once, when they are compiled, and then never changes."""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

REDUCTION = {"reassoc", "contract", "nsz"}
"""Floating-point freedom for dot products: their order may be chosen once, when compiled, so that
they vectorise; infinities and NaN keep their meaning. Every such sum runs over one worker's block
or one row, never over a rank's share, so its order does not depend on the number of ranks."""


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def compiled_once(context: Any) -> Any:
    """Keep the function that calls this from being compiled into its callers.

    A sum that is inlined may be vectorised in another way by each caller, and so be added up in
    another order; a function with this in its body adds up in the same order for all of them.
    """

    def generate(_context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return ir.Constant(ir.IntType(8).as_pointer(), None)

    return types.none(), generate
