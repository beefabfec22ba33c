#!/bin/sh
# The paper's experiments, and the ones it asks for: from nothing to results/paper/index.md.
#
#   sh jobs/paper.sh                      all of them
#   sh jobs/paper.sh figure1b bias        some of them
#
# Runs that ended are not repeated, so that a second start continues where the first one stopped;
# to repeat an experiment, remove its folder in results/paper/. Independent runs go side by side,
# one process per core. RESULTS names another place than results/paper.
set -eu
cd "$(dirname "$0")/.."
. jobs/environment.sh

paper=jobs/paper
out=${RESULTS:-results/paper}
. jobs/experiments.sh

figure1a() {
    {
        for step in 1e-6 1e-5 5e-5 1e-4 1.5e-4; do
            set -- jobs/figure1a.toml --set "method.step_size=$step"
            [ "$step" = 1e-6 ] || constants "figure1a/step-$step" "$@" --full
            run "figure1a/step-$step" "$@"
            expect "figure1a/step-$step" 1000 "$@"
        done
        for step in 5e-5 1e-4 1.5e-4; do
            expect "figure1a/step-$step-full" 20 jobs/figure1a.toml \
                --set "method.step_size=$step" --full
        done
        for step in 3e-5 1e-4 5e-4 1.5e-3; do
            set -- "$paper/figure1a-mean.toml" --set "method.step_size=$step"
            expect "figure1a-mean/step-$step" 300 "$@"
            runs "figure1a-mean/step-$step" 0:50 "$@"
        done
    } | work
    draw expectation figure1a "$out"/figure1a/*.h5 --title "heterogeneous, d = 1000, n = 10"
    draw expectation figure1a-mean "$out"/figure1a-mean/*.h5 \
        --title "heterogeneous, d = 100, n = 10"
}

figure1b() {
    for step in 0.05 0.1 0.2 0.5 0.9; do
        run "figure1b/step-$step" "$paper/figure1b.toml" --set "method.step_size=$step"
    done | work
    draw fixed_point figure1b "$out"/figure1b/*.h5
}

interpolation() {
    {
        for step in theory 6e-4 2e-4; do
            runs "interpolation/step-$step" 0:20 "$paper/interpolation.toml" \
                --set "method.step_size=$step"
        done
        for step in 1.0 0.5 0.25; do
            run "interpolation/preconditioned-$step" "$paper/interpolation-preconditioned.toml" \
                --set "method.step_size=$step"
        done
    } | work
    draw interpolation interpolation "$out"/interpolation/*.h5
}

reconstruction() {
    {
        config=$paper/reconstruction.toml
        run reconstruction/identity "$config" --set method.sketch=identity
        run reconstruction/permutation "$config"
        run reconstruction/uneven "$config" --set problem.n=7
        run reconstruction/many "$config" --set problem.n=100
        run reconstruction/unscaled "$config" --set method.scaling=unscaled
        run reconstruction/preconditioned "$config" --set method.scaling=preconditioned
        run reconstruction/rand-5 "$config" --set method.sketch=rand --set method.q=5
        run reconstruction/rand-20 "$config" --set method.sketch=rand --set method.q=20
    } | work
    set --
    for log in identity permutation uneven many unscaled preconditioned rand-5 rand-20; do
        set -- "$@" "$out/reconstruction/$log.h5"
    done
    draw reconstruction reconstruction "$@"
}

bias() {
    {
        runs bias/n-20 0:400 "$paper/bias.toml"
        expect bias/n-20 120 "$paper/bias.toml"
        set -- "$paper/bias.toml" --set problem.n=5 --set method.step_size=4e-3
        runs bias/n-5 0:400 "$@"
        expect bias/n-5 120 "$@"
    } | work
    draw bias bias "$out"/bias/*.h5
}

step_size() {
    for pair in 1e-5:15000 2e-5:7500 5e-5:3000 1e-4:2000 2e-4:2000 5e-4:2000 1e-3:2000 \
        2e-3:2000 4e-3:2000 6e-3:2000 7.5e-3:2000 8.5e-3:2000 1.2e-2:2000; do
        step=${pair%:*} rounds=${pair#*:}
        set -- "$paper/step_size.toml" --set "method.step_size=$step" --set "run.rounds=$rounds"
        runs "step_size/step-$step" 0:10 "$@"
        [ "$step" = 1.2e-2 ] || expect "step_size/step-$step" "$rounds" "$@"
    done | work
    draw step_size step_size "$out"/step_size/*.h5
}

condition() {
    for ensemble in gaussian scaled remark1 correlated; do
        done=$out/condition/$ensemble.done
        printf '%s\tpython jobs/condition.py %s %s %s && touch %s\n' \
            "$done" "$paper/condition.toml" "$out/condition" "$ensemble" "$done"
    done | work
    find "$out/condition" -name '*.h5' | LC_ALL=C sort >"$out/condition/logs"
    draw condition condition "@$out/condition/logs"
}

# method PROBLEM-CONFIG NAME: the settings of a method of the comparison
method() {
    case $2 in
    ist) echo "$1" ;;
    gd) echo "$1 --set method.name=gradient_descent" ;;
    dcgd-permutation) echo "$1 --set method.name=dcgd" ;;
    dcgd-rand) echo "$1 --set method.name=dcgd --set method.sketch=rand" ;;
    esac
}

# half FILE.json: half of the largest stable step size
half() {
    python -c 'import json, sys
print("%.3g" % (json.load(open(sys.argv[1]))["stable_step_size_limit"] / 2))' "$1"
}

communication() {
    methods="ist gd dcgd-permutation dcgd-rand"
    for problem in communication communication-digits; do
        for name in $methods; do
            constants "$problem/$name" $(method "$paper/$problem.toml" "$name")
        done
    done | work
    for problem in communication communication-digits; do
        for name in $methods; do
            set -- $(method "$paper/$problem.toml" "$name") \
                --set "method.step_size=$(half "$out/$problem/$name.json")"
            if [ "$name" = gd ]; then
                run "$problem/$name" "$@"
            else
                runs "$problem/$name" 0:10 "$@"
            fi
        done
    done | work
    draw communication communication "$out"/communication/*.h5 "$out"/communication-digits/*.h5
}

local_steps() {
    for heterogeneous in true false; do
        which="--set problem.heterogeneous=$heterogeneous"
        for steps in 1 2 5 10 50; do
            runs "local_steps/$heterogeneous-$steps" 0:10 "$paper/local_steps.toml" $which \
                --set "method.local_steps=$steps"
            runs "local_limit/$heterogeneous-$steps" 0:20 "$paper/local_limit.toml" $which \
                --set "method.local_steps=$steps"
        done
        run "local_steps/$heterogeneous-gd" "$paper/local_steps.toml" $which \
            --set method.name=gradient_descent --set method.step_size=theory
    done | work
    draw local_steps local_steps "$out"/local_steps/*.h5
    draw local_limit local_limit "$out"/local_limit/*.h5
}

index() {
    echo "# The experiments"
    entry figure1a "Figure 1a: heterogeneous quadratics"
    entry figure1a-mean "Figure 1a's companion: the mean of many runs"
    entry figure1b "Figure 1b: homogeneous quadratics, preconditioned"
    entry interpolation "Interpolation: no linear term"
    entry reconstruction "Reconstruction: do the pieces add up to the whole?"
    entry bias "Bias: the mean of many runs is the fixed point"
    entry step_size "Step size: speed against accuracy"
    entry condition "Condition (14): where does Theorem 1 apply?"
    entry communication "Communication: gap against floats"
    entry local_steps "Local steps"
    entry local_limit "Local steps where theory is exact: one coordinate per worker"
}

all="figure1a figure1b interpolation reconstruction bias step_size condition communication"
all="$all local_steps"
experiments "$all" "$@"
