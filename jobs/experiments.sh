# What scripts of experiments share; sourced, from the top of the repository, with $out their folder.
#
# Runs that ended are not repeated, so that a second start continues where the first one stopped.
# Independent runs go side by side, one process per core.

ist_environment mpich,data,plot
cores=$(ist_cores)
mkdir -p "$out"

# run LOG CONFIG OPTIONS            a run to be made; its log is LOG.h5 in the results
# runs LOG A:B CONFIG OPTIONS       the same for the seeds A, …, B-1
# expect LOG ROUNDS CONFIG OPTIONS  the exact expectations beside it, LOG.csv
# constants LOG CONFIG OPTIONS      the constants of theory beside it, LOG.json
run() {
    log=$out/$1.h5
    shift
    printf '%s\tist-mpi run %s --out %s --force\n' "$log" "$*" "$log"
}

runs() {
    log=$out/$1.h5 seeds=$2
    shift 2
    printf '%s\tist-mpi run %s --seeds %s --out %s --force\n' "$log#$seeds" "$*" "$seeds" "$log"
}

expect() {
    csv=$out/$1.csv rounds=$2
    shift 2
    printf '%s\tmkdir -p %s && ist-mpi theory %s --rounds %s --csv %s.part && mv %s.part %s\n' \
        "$csv" "$(dirname "$csv")" "$*" "$rounds" "$csv" "$csv" "$csv"
}

constants() {
    json=$out/$1.json
    shift
    printf '%s\tmkdir -p %s && ist-mpi theory %s --json >%s.part && mv %s.part %s\n' \
        "$json" "$(dirname "$json")" "$*" "$json" "$json" "$json"
}

# Do what is asked for on standard input and not done yet, one process per core.
work() {
    cat >"$out/jobs.part"
    python jobs/pending.py <"$out/jobs.part" >"$out/todo.part"
    printf '  %s to do ' "$(wc -l <"$out/todo.part")" >&2
    # A dot for each that has ended: some take minutes.
    tr '\n' '\0' <"$out/todo.part" |
        xargs -0 -r -n 1 -P "$cores" sh -c 'sh -c "$1" >>"$0" 2>&1; printf . >&2' \
            "$out/messages.txt" || true
    echo >&2
    python jobs/pending.py <"$out/jobs.part" >"$out/todo.part"
    if [ -s "$out/todo.part" ]; then
        tail -n 20 "$out/messages.txt" >&2
        echo "These did not succeed (more in $out/messages.txt):" >&2
        cat "$out/todo.part" >&2
        exit 1
    fi
}

# draw SCRIPT NAME OPTIONS: the figure NAME.pdf, .png, .csv, and NAME.txt, what it shows
draw() {
    script=$1 name=$2
    shift 2
    python "analysis/$script.py" "$@" -o "$out/$name.pdf" >/dev/null
    echo "  $out/$name.pdf"
}

# entry NAME TITLE: a figure's part of the index, if there is a figure
entry() {
    [ -f "$out/$1.txt" ] || return 0
    printf '\n## %s\n\n%s\n\n![%s](%s.png)\n\n[PDF](%s.pdf), [what is drawn](%s.csv)\n' \
        "$2" "$(cat "$out/$1.txt")" "$2" "$1" "$1" "$1"
}

# experiments ALL NAME…: do the experiments named, or else all; then write the index
experiments() {
    all=$1
    shift
    for experiment in "$@"; do
        case " $all " in
        *" $experiment "*) ;;
        *)
            echo "$0: no experiment $experiment; there are: $all" >&2
            exit 2
            ;;
        esac
    done
    for experiment in ${*:-$all}; do
        began=$(date +%s)
        echo "$experiment"
        "$experiment"
        echo "  $(($(date +%s) - began)) s"
    done
    rm -f "$out/jobs.part" "$out/todo.part"
    index >"$out/index.md"
    echo "$out/index.md"
}
