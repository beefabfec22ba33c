#!/bin/sh
# Submodel training without the bias: from nothing to results/beyond/index.md.
#
#   sh jobs/beyond.sh                     all of it
#   sh jobs/beyond.sh bias_removed        a part
#   DATA=folder sh jobs/beyond.sh         with LIBSVM's public sets a9a and mushrooms, which are in
#                                         that folder under these names
#
# Runs that ended are not repeated, so that a second start continues where the first one stopped;
# to repeat an experiment, remove its folder in results/beyond/. Independent runs go side by side,
# one process per core. RESULTS names another place than results/beyond.
set -eu
cd "$(dirname "$0")/.."
. jobs/environment.sh

beyond=jobs/beyond
out=${RESULTS:-results/beyond}
. jobs/experiments.sh

methods="ist ist-unscaled gd gd-nesterov shared_block shared_block-nesterov anchored"
methods="$methods anchored-tight stale diana ef21 marina"
# Those whose exact expectations take seconds at d = 40, n = 10.
exact="ist ist-unscaled shared_block shared_block-nesterov anchored anchored-tight diana ef21 marina"

# method NAME: the settings of a method of the comparison
method() {
    case $1 in
    ist) echo "method.name=ist" ;;
    ist-unscaled) echo "method.name=ist --set method.scaling=unscaled" ;;
    gd) echo "method.name=gradient_descent" ;;
    gd-nesterov) echo "method.name=gradient_descent --set method.momentum=nesterov" ;;
    *-nesterov) echo "method.name=${1%-nesterov} --set method.momentum=nesterov" ;;
    anchored-tight) echo "method.name=anchored --set method.alpha=tight" ;;
    *) echo "method.name=$1" ;;
    esac
}

problem_of() {
    case $1 in
    homogeneous) echo "$beyond/$1.toml --set problem.path=$out/homogeneous-problem.h5" ;;
    *) echo "$beyond/$1.toml" ;;
    esac
}

# seeded LOG A:B NAME CONFIG OPTIONS: a method's runs, one where chance has no part in it
seeded() {
    log=$1 seeds=$2 name=$3
    shift 3
    set -- "$@" --set $(method "$name") --set run.tolerance=1e-13
    case $name in
    gd*) run "$log" "$@" ;;
    *) runs "$log" "$seeds" "$@" ;;
    esac
}

bias_removed() {
    arrays=$out/homogeneous-problem.h5
    printf '%s\tpython %s %s && touch %s\n' "$arrays.done" "$beyond/homogeneous.py" "$arrays" \
        "$arrays.done" | work
    for problem in heterogeneous homogeneous cancer; do
        for name in $methods; do
            seeded "bias_removed/$problem/$name" 0:5 "$name" $(problem_of "$problem")
        done
    done | work
    for name in $exact; do
        expect "bias_removed/heterogeneous/$name" 600 $(problem_of heterogeneous) \
            --set $(method "$name")
    done | work
    draw bias_removed bias_removed "$out"/bias_removed/*/*.h5
}

where_ist_wins() {
    for linear in true false; do
        for name in ist ist-unscaled gd gd-nesterov shared_block shared_block-nesterov anchored \
            stale; do
            seeded "where_ist_wins/$linear/$name" 0:10 "$name" "$beyond/heterogeneous.toml" \
                --set "problem.linear_term=$linear"
        done
    done | work
    draw where_ist_wins where_ist_wins "$out"/where_ist_wins/*/*.h5
}

# multiple FILE.json FACTOR: so many times the largest stable step size
multiple() {
    python -c 'import json, sys
print("%.6g" % (json.load(open(sys.argv[1]))["stable_step_size_limit"] * float(sys.argv[2])))' \
        "$1" "$2"
}

stability() {
    stable="shared_block anchored stale diana ef21 marina"
    for name in $stable; do
        constants "stability/$name" "$beyond/stability.toml" --set $(method "$name") --full
    done | work
    for name in $stable; do
        for factor in 0.1 0.2 0.4 0.6 0.8 0.9 0.98 1.02 1.1 1.2 1.3 1.5; do
            step=$(multiple "$out/stability/$name.json" "$factor")
            runs "stability/$name/$factor" 0:8 "$beyond/stability.toml" --set $(method "$name") \
                --set "method.step_size=$step"
        done
    done | work
    draw stability stability "$out"/stability/*/*.h5
}

# bias_on FOLDER SEEDS "METHOD…" "L2…" CONFIG…: runs on a data set, and x∞ along the regularisation,
# which logs of one round say
bias_on() {
    folder=logistic_bias/$1 seeds=$2 names=$3 penalties=$4
    shift 4
    for name in $names; do
        seeded "$folder/$name" "$seeds" "$name" "$@"
    done
    for l2 in $penalties; do
        for name in ist ist-unscaled; do
            run "$folder-along/$name-$l2" "$@" --set $(method "$name") --set "problem.l2=$l2" \
                --set run.rounds=1
        done
    done
}

logistic_bias() {
    names="ist ist-unscaled gd gd-nesterov shared_block shared_block-nesterov anchored stale"
    for problem in cancer digits; do
        bias_on "$problem" 0:5 "$names" "1e-4 3e-4 1e-3 3e-3 1e-2 3e-2 1e-1 3e-1 1.0" \
            "$beyond/logistic-$problem.toml"
    done | work
    for set in a9a mushrooms; do
        if [ -f "${DATA:-}/$set" ]; then
            bias_on "$set" 0:2 "$names" "1e-4 1e-3 1e-2 1e-1 1.0" "$beyond/logistic-libsvm.toml" \
                --set "problem.path=$DATA/$set"
        else
            echo "  left out: LIBSVM's $set, which is no file of the folder DATA" >&2
        fi
    done | work
    draw logistic_bias logistic_bias "$out"/logistic_bias/*/*.h5
}

# network NAME N: the settings of a method on n workers; the rounds that send 60 whole models
network() {
    rounds=60
    case $1 in
    ist* | shared_block) rounds=$((60 * $2)) ;;
    esac
    case $1 in
    sgd) echo "method.name=gradient_descent" ;;
    local) echo "method.sketch=identity method.local_steps=10" ;;
    ist-1-1) echo "method.local_steps=10" ;;
    ist-1-n) echo "method.local_steps=10 problem.evaluation_scale=$(python -c "print(1 / $2)")" ;;
    ist-n-1) echo "method.local_steps=10 problem.logit_scale=$2" ;;
    shared_block) echo "method.name=shared_block" ;;
    esac
    echo "problem.n=$2 run.rounds=$rounds log.every=$((rounds / 60))"
}

# overrides WORD…: each as an option
overrides() {
    for word in "$@"; do
        echo "--set $word"
    done
}

network_accuracy() {
    parts=$out/network-data trained=network_accuracy
    printf '%s\tpython %s data %s\n' "$parts/test.npz" "$beyond/network.py" "$parts" | work
    kinds="sgd local ist-1-1 ist-1-n ist-n-1 shared_block"
    given="problem.path=$parts/training.npz problem.test=$parts"
    mkdir -p "$out/$trained"
    for n in 4 8; do
        for split in shuffled contiguous; do
            for name in $kinds; do
                step=$out/$trained/$n-$split-$name.step
                printf '%s\tpython %s step %s >%s.part && mv %s.part %s\n' "$step" \
                    "$beyond/network.py" "$(echo "$beyond/network.toml" $(network "$name" "$n") \
                        $given/validation.npz "problem.split=$split")" "$step" "$step" "$step"
            done
        done
    done | work
    for n in 4 8; do
        for split in shuffled contiguous; do
            for name in $kinds; do
                step=$(cat "$out/$trained/$n-$split-$name.step")
                runs "$trained/$n-$split-$name" 0:5 "$beyond/network.toml" \
                    $(overrides $(network "$name" "$n") $given/test.npz "problem.split=$split" \
                        "method.step_size=$step")
            done
        done
    done | work
    draw network_accuracy network_accuracy "$out/$trained"/*.h5
}

index() {
    echo "# Removing the bias"
    entry bias_removed "What each method reaches, and what it sends"
    entry where_ist_wins "Where independent subnetwork training wins"
    entry logistic_bias "The bias on logistic regression"
    entry stability "Step sizes: the second moment and single runs"
    entry network_accuracy "A network: test accuracy and what training sends"
}

experiments "bias_removed where_ist_wins logistic_bias stability network_accuracy" "$@"
