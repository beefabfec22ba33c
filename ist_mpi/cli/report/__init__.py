"""What people read: progress, summaries, and the tables of the commands.

Each command imports its own file, so that one that only reads a log loads nothing heavy.

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
