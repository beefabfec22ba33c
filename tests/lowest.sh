#!/bin/sh
# sh tests/lowest.sh   the quick tests on the lowest versions that setup.cfg allows, in .venv-lowest
#
# The versions are those of tests/lowest.txt; style and types are checked on the newest only, and the
# site is built there. PYTHON names the interpreter to start from.
set -eu
cd "$(dirname "$0")/.."
. jobs/environment.sh

python=$(ist_python)
wanted="$(cat setup.cfg tests/lowest.txt | cksum)"
if ! grep -qxF "$wanted" .venv-lowest/ist-installed 2>/dev/null; then
    "$python" -m venv --clear .venv-lowest
    .venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: --no-binary ist_mpi -c tests/lowest.txt --editable ".[mpich,all]" \
        hypothesis jsonschema nbclient nbformat ipykernel polars \
        pytest pytest-mpi pytest-timeout pytest-xdist setuptools
    echo "$wanted" >.venv-lowest/ist-installed
fi
PATH=$PWD/.venv-lowest/bin:$PATH
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1
# Compiled by another numba: in a folder of its own.
NUMBA_CACHE_DIR=$PWD/.venv-lowest/compiled
export PATH OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NUMBA_NUM_THREADS NUMBA_CACHE_DIR
mkdir -p "$NUMBA_CACHE_DIR" && chmod 700 "$NUMBA_CACHE_DIR"
python -m pytest -q -n 2 --dist loadfile -p no:cacheprovider -m "not slow" \
    --ignore=tests/mpi --ignore=tests/slurm --ignore=tests/faults --ignore=tests/bench tests
