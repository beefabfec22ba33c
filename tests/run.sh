#!/bin/sh
# sh tests/run.sh        all checks, from nothing: style, types, the serial tests, those that need the
#                        machine for themselves, the quick ones on the lowest versions, the MPI tests
#                        on 1, 2, 3 and 4 ranks, and jobs on a SLURM cluster where one can be started
# sh tests/run.sh quick  style, types, and the tests that start no process and take under 0.3 s
#
# Ends with a non-zero code if anything fails or if any of the runs has no test. IST_TESTS=full is
# everything that is thinned out otherwise: all combinations, all kills.
#
# The cluster needs root and Debian's slurm-wlm and munge, the pages of reports need chromium.
# IST_TEST_SLURM=install and IST_TEST_BROWSER=install install them if they are missing; nothing is
# ever installed without that word.
set -eu
cd "$(dirname "$0")/.."
. jobs/environment.sh

case ${1:-} in
    "" | quick) ;;
    *) echo "usage: sh tests/run.sh [quick]" >&2 && exit 2 ;;
esac
ist_environment mpich,test

step() {
    echo "== $*"
}

# Debian's packages of those names, where root may install them.
install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    step "installing $*"
    apt-get update -qq
    # The cluster of the tests is started by hand: the packages' own daemons are not.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 timeout 600 \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

step ruff
ruff check .
ruff format --check .
step mypy
mypy
# Two files at a time: many tests wait, for processes or for the disk, and those of a file share logs.
serial() {
    timeout -k 10 7200 python -m pytest -q -n 2 --dist loadfile "$@" \
        --ignore=tests/mpi --ignore=tests/slurm tests
}
if [ "${1:-}" = quick ]; then
    step quick tests
    serial -m "not slow"
    echo "== all quick checks passed"
    exit
fi
if [ "${IST_TEST_BROWSER:-}" = install ] && ! command -v chromium >/dev/null; then
    install chromium
fi
step serial tests
serial --ignore=tests/faults --ignore=tests/bench
step "faults and speeds, one at a time"
timeout -k 10 7200 python -m pytest -q tests/faults tests/bench
step "quick tests on the lowest versions that are allowed"
timeout -k 10 3600 sh tests/lowest.sh
for ranks in 1 2 3 4; do
    step "MPI tests, $ranks rank(s)"
    timeout -k 10 1800 mpiexec -n "$ranks" python -m pytest -q --with-mpi tests/mpi
done

slurm_obstacle() {
    [ "$(id -u)" = 0 ] || { echo "this is not root" && return; }
    for daemon in munged slurmctld slurmd sbatch; do
        PATH=$PATH:/usr/sbin command -v "$daemon" >/dev/null || {
            echo "there is no $daemon (IST_TEST_SLURM=install installs slurm-wlm and munge)"
            return
        }
    done
}

obstacle=$(slurm_obstacle)
if [ -n "$obstacle" ] && [ "${IST_TEST_SLURM:-}" = install ]; then
    install slurm-wlm munge
    obstacle=$(slurm_obstacle)
fi
if [ -n "$obstacle" ]; then
    step "SLURM tests SKIPPED: $obstacle"
    echo "== all other checks passed"
    exit
fi
step SLURM tests
timeout -k 10 5400 python -m pytest -q tests/slurm
echo "== all checks passed"
