"""Asking the memory for entries before they are needed.

The entries of a block lie scattered over the rows of its matrix: the processor sees no stream that
it could run ahead of, and waits for one line of cache after another. Told which entries come next,
it brings them into its second level of cache while it computes. What is asked for changes the time
that a sum takes, never its value.
"""

from typing import Any

from llvmlite import ir
from numba import njit
from numba.core import types
from numba.core.cgutils import get_item_pointer
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

SCATTERED = 8
"""A block of at most one coordinate in so many leaves a stream nothing to run ahead of. Measured,
µs a block with and without `ask_rows` for the next rows: d, n = 1000, 10: 14 and 22; 4000, 16:
126 and 166; about equal at n = 8; 4000, 4: 1000 and 800."""

START = 384
"""Entries at a row's start that are asked for while the row before is summed up; then a stream is
under way. Measured, µs for 100 rows of d = 1000 on each of 10 workers without, with and with all of
the row: 985, 720 and 680, or where they are in a cache 756, 220 and 390; d = 2000, 4: the same."""

_INTO_SECOND_LEVEL = 1
"""The intrinsic's measure of locality: 3 would fill the first level, whose few pending misses are
the bottleneck (measured: no gain), 0 is for what is used once."""


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def ask(_context: Any, row: Any, j: Any) -> Any:
    """Ask for row[j] of a vector, and do not wait."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        vector = make_array(kind)(context, builder, arguments[0])
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        entry = get_item_pointer(context, builder, kind, vector, [index])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kinds = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kinds)
        to_read, data = ir.Constant(number, 0), ir.Constant(number, 1)
        level = ir.Constant(number, _INTO_SECOND_LEVEL)
        builder.call(prefetch, [builder.bitcast(entry, byte), to_read, level, data])
        return context.get_dummy_value()

    return types.none(row, j), generate


@njit(cache=True)
def ask_rows(L, block, first, last):  # type: ignore[no-untyped-def]  # numba infers
    """Ask for rows first … last − 1 of the lower half of L[S, S], one row after another."""
    for a in range(first, last):
        row = L[block[a]]
        for c in range(a + 1):
            ask(row, block[c])


@njit(cache=True)
def ask_start(row):  # type: ignore[no-untyped-def]  # numba infers
    """Ask for the start of a whole row, one of scattered ones that will be read from end to end."""
    for j in range(0, min(row.size, START), 8):
        ask(row, j)
