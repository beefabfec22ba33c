# To be sourced from the root of the checkout: a virtual environment with everything in it.
#
#   ist_environment EXTRAS    makes .venv, installs the package with these extras (once), and
#                             puts it first on PATH, its mpiexec included
#
# PYTHON names the interpreter to start from; default: the newest python3 found, 3.11 or later.

ist_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
        then
            echo "$candidate"
            return
        fi
    done
    echo "No Python 3.11 or later with the venv module was found; set PYTHON to one." >&2
    return 1
}

ist_environment() {
    extras=$1
    if ! .venv/bin/python -c 'pass' 2>/dev/null; then
        python=$(ist_python) || return 1
        echo "Making .venv with $("$python" --version)"
        "$python" -m venv --clear .venv || return 1
    fi
    # What was installed, and from which description of the package: nothing is done twice.
    wanted="$extras $(cat setup.cfg pyproject.toml | cksum)"
    stamp=.venv/ist-installed
    if ! grep -qxF "$wanted" "$stamp" 2>/dev/null; then
        echo "Installing ist_mpi[$extras] into .venv"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check \
            --editable ".[$extras]" || return 1
        echo "$wanted" >>"$stamp"
    fi
    PATH=$PWD/.venv/bin:$PATH
    export PATH
    # One thread per rank: more would only compete for the cores.
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1
    export OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NUMBA_NUM_THREADS
}

ist_cores() {
    python -c 'import os; print(len(os.sched_getaffinity(0)))'
}
