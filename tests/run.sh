#!/bin/sh
# All checks, from nothing: style, types, the serial tests, the faults, and the MPI tests on 1, 2, 3
# and 4 ranks. Ends with a non-zero code if anything fails or if any of the runs has no test.
set -eu
cd "$(dirname "$0")/.."
. jobs/environment.sh

ist_environment mpich,test

step() {
    echo "== $*"
}

step ruff
ruff check .
ruff format --check .
step mypy
mypy
step serial tests
timeout -k 10 2400 python -m pytest -q --ignore=tests/mpi --ignore=tests/faults tests
step faults "(IST_FAULTS=full for all of them)"
timeout -k 10 1200 python -m pytest -q tests/faults
for ranks in 1 2 3 4; do
    step "MPI tests, $ranks rank(s)"
    timeout -k 10 1200 mpiexec -n "$ranks" python -m pytest -q --with-mpi tests/mpi
done
echo "== all checks passed"
