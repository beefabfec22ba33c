"""What people read: progress, summaries, and the tables of the commands.

text        numbers, times, tables of facts; JSON
progress    where the run of this process stands
runs        what a log says
plans       what a run would be and need
theory      the constants
live        the log of another process's run, again and again
plot        a curve in a terminal
judgement   what verify found
benchmarks  what bench measured
health      what doctor found
sweeps      what there is of a sweep, loaded by its commands alone
"""

from ist_mpi.cli.report.benchmarks import show_bench
from ist_mpi.cli.report.health import health
from ist_mpi.cli.report.judgement import show_findings
from ist_mpi.cli.report.live import LiveReport, follow
from ist_mpi.cli.report.plans import show_plan
from ist_mpi.cli.report.progress import ProgressReport
from ist_mpi.cli.report.runs import info, info_json, show_outcome, summary
from ist_mpi.cli.report.text import console, duration, number, to_json
from ist_mpi.cli.report.theory import show_foresight

__all__ = [
    "LiveReport",
    "ProgressReport",
    "console",
    "duration",
    "follow",
    "health",
    "info",
    "info_json",
    "number",
    "show_bench",
    "show_findings",
    "show_foresight",
    "show_outcome",
    "show_plan",
    "summary",
    "to_json",
]
