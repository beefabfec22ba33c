#!/bin/sh
# One configuration on this machine, on all its cores:
#
#   sh jobs/laptop.sh CONFIG.toml [options of ist-mpi run]
#
# Installs into .venv what is not there yet. A run that was stopped or killed goes on where it was,
# and one that has finished is left alone (--force repeats it), so the same line can be given again
# and again. Paths, results/ too, are relative to where you are. RANKS names another number of
# ranks. The exit code is the run's.
set -eu
if [ $# -eq 0 ] || [ "$1" = -h ] || [ "$1" = --help ]; then
    sed -n 's/^# \{0,1\}//; 2,9p' "$0" >&2
    exit $(($# == 0 ? 2 : 0))
fi
config=$1
shift
here=$PWD
cd "$(dirname "$0")/.."
. jobs/environment.sh
ist_environment mpich,data,plot
cd "$here"

# Ranks beyond the workers would only wait; where the file does not say how many, all cores work.
workers_of='import sys, tomllib
print(tomllib.load(open(sys.argv[1], "rb")).get("problem", {}).get("n", ""))'
ranks=${RANKS:-$(ist_cores)}
workers=$(python -c "$workers_of" "$config" 2>/dev/null || true)
case $workers in
'' | *[!0-9]* | 0) ;;
*) ranks=$((ranks < workers ? ranks : workers)) ;;
esac

for option in "$@"; do
    if [ "$option" = --force ]; then # the opposite of going on
        exec mpiexec -n "$ranks" ist-mpi run "$config" "$@"
    fi
done
exec mpiexec -n "$ranks" ist-mpi run "$config" --resume "$@"
