#!/bin/sh
# From nothing to a figure: installs into .venv, runs the paper's heterogeneous quadratic at five
# step sizes on all cores, and draws the relative gap against rounds.
set -eu
cd "$(dirname "$0")/.."
. jobs/environment.sh

ist_environment mpich,data,plot
cores=$(ist_cores)
ranks=$((cores < 10 ? cores : 10)) # ten workers: more ranks than that would be idle
logs=results/quickstart

echo "Running jobs/figure1a.toml on $ranks rank(s): d = 1000, n = 10 workers, 1000 rounds"
for step in 1e-6 1e-5 1e-4 1.5e-4; do
    summary=$(mpiexec -n "$ranks" ist-mpi run jobs/figure1a.toml \
        --set method.step_size="$step" --out "$logs/step-$step.h5" --force)
    echo "  step size $step: $(echo "$summary" | grep 'final relative gap')"
done
echo "  step size 5e-5:"
mpiexec -n "$ranks" ist-mpi run jobs/figure1a.toml --set method.step_size=5e-5 \
    --out "$logs/step-5e-5.h5" --force

python analysis/convergence.py "$logs"/step-*.h5 --log-x --title "Figure 1a: heterogeneous quadratic" \
    -o results/quickstart.png
cat <<'EOF'

What to see: every step size stops short of the solution, near the dashed line: IST's bias, which no
step size removes. A small one takes long to get there; a large one is quick, and its variance keeps
it above the line.

What to do next:
  . .venv/bin/activate
  ist-mpi theory jobs/figure1a.toml --set method.step_size=1e-4   what is known without running
  ist-mpi new ridge && ist-mpi run ridge.toml                     another problem, to be changed
  ist-mpi report results/quickstart/*.h5                          a page about these runs
EOF
