"""Draw how runs converge: any column of run logs against rounds, floats or time.

    python analysis/convergence.py RUN.h5… --x floats --y relative_gap -o figure.pdf

The same as `ist-mpi plot`; see `ist_mpi.plots.convergence`.
"""

import sys
from collections.abc import Sequence

from command import finish, parser_of

from ist_mpi.plots.convergence import X_AXES, Y_AXES, draw


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("--x", choices=X_AXES, default="round")
    parser.add_argument("--y", choices=Y_AXES, default="relative_gap")
    parser.add_argument("--title", default="")
    parser.add_argument(
        "--theory", action="store_true", help="dot the exact expectation of NAME.csv on top"
    )
    parser.add_argument("--log-x", action="store_true", help="a logarithmic axis across")
    options = parser.parse_args(arguments)
    return finish(
        "convergence.py",
        options.output,
        lambda: draw(
            *(options.runs, options.x, options.y, options.title, options.theory, options.output),
            log_x=options.log_x,
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
