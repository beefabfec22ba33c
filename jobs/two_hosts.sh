#!/bin/sh
# Two emulated hosts over a slow link, on one machine: ist-mpi bench between them, then messages of
# many sizes (analysis/bench/links.py).
#
#   sudo sh jobs/two_hosts.sh BENCH.json [arguments of ist-mpi bench]
#   RATE=100mbit DELAY=200us sudo -E sh jobs/two_hosts.sh slow.json --quick
#
# Each host is a network namespace; a pair of virtual Ethernet devices joins them, limited to RATE
# in each direction by a token bucket, with DELAY more each way (netem) where the kernel has that.
# One rank a host. mpiexec runs in the first namespace and starts its proxies through a launcher
# that enters the namespace whose address it is given, in place of ssh. Everything is taken down at
# the end, also after an error.
#
# RATE (default 1gbit), DELAY (default 0: none), MPIEXEC (MPICH's; default: the one beside python).
#
# Skipped, with exit code 77, where this is not possible: not root, no ip or tc, no CAP_NET_ADMIN.
set -eu
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || { echo "usage: sudo sh jobs/two_hosts.sh BENCH.json [arguments of bench]" >&2; exit 2; }
output=$1
shift
rate=${RATE:-1gbit}
delay=${DELAY:-0}
[ -d .venv/bin ] && PATH=$PWD/.venv/bin:$PATH
python=$(command -v python || command -v python3)
mpiexec=${MPIEXEC:-$(dirname "$python")/mpiexec}

skip() {
    echo "two_hosts.sh: skipped: $*" >&2
    exit 77
}

[ "$(id -u)" = 0 ] || skip "network namespaces need root"
for tool in ip tc; do
    command -v "$tool" >/dev/null || skip "no $tool: install iproute2"
done
"$mpiexec" --version 2>/dev/null | grep -q HYDRA ||
    skip "$mpiexec is not MPICH's: its launcher option differs"

one=ist-one-$$
two=ist-two-$$
net=10.213.77
files=$(mktemp -d)
clear() { # of what there may be nothing
    ip netns del "$one" 2>/dev/null || true
    ip netns del "$two" 2>/dev/null || true
    rm -rf "$files"
}
trap clear EXIT
trap 'exit 130' INT TERM

ip netns add "$one" 2>"$files/error" ||
    skip "no network namespace can be made: $(cat "$files/error")"
ip netns add "$two"
ip link add istlink netns "$one" type veth peer name istlink netns "$two" 2>"$files/error" ||
    skip "no virtual Ethernet: $(cat "$files/error")"

join() { # namespace, number of the host
    ip -n "$1" addr add "$net.$2/24" dev istlink
    ip -n "$1" link set istlink up
    ip -n "$1" link set lo up
    tc -n "$1" qdisc add dev istlink root handle 1: tbf rate "$rate" burst 256kb latency 50ms ||
        skip "tc knows no tbf here"
    if [ "$delay" != 0 ]; then
        tc -n "$1" qdisc add dev istlink parent 1:1 handle 10: netem delay "$delay" ||
            skip "tc knows no netem here: leave DELAY out"
    fi
}
join "$one" 1
join "$two" 2
# A device is usable a moment after it was switched on, and MPI looks only once.
for space in "$one" "$two"; do
    tries=0
    until ip -n "$space" link show istlink | grep -q 'state UP'; do
        tries=$((tries + 1))
        [ "$tries" -le 50 ] || skip "the virtual Ethernet does not come up"
        sleep 0.1
    done
done

# In place of ssh: LAUNCHER [options] HOST COMMAND…; the host is an address of a namespace. The
# host's name is its own, so that MPI does not take the two for one and use shared memory.
cat >"$files/enter" <<END
#!/bin/sh
while [ "\${1#-}" != "\$1" ]; do shift; done
case \$1 in
*.1) space=$one name=one ;;
*.2) space=$two name=two ;;
*) echo "no host \$1" >&2; exit 1 ;;
esac
shift
exec ip netns exec "\$space" unshare --uts sh -c 'hostname '"\$name"' && exec "\$@"' sh sh -c "\$*"
END
chmod +x "$files/enter"

echo "Two hosts at $net.1 and $net.2, $rate${delay:+, delay $delay} each way"
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1
# Sockets over that link only, and no shared memory between the two.
FI_PROVIDER=tcp FI_TCP_IFACE=istlink UCX_TLS=tcp,self UCX_NET_DEVICES=istlink MPIR_CVAR_NOLOCAL=1
export OMP_NUM_THREADS OPENBLAS_NUM_THREADS NUMBA_NUM_THREADS
export FI_PROVIDER FI_TCP_IFACE UCX_TLS UCX_NET_DEVICES MPIR_CVAR_NOLOCAL
between() {
    ip netns exec "$one" "$mpiexec" -launcher ssh -launcher-exec "$files/enter" \
        -hosts "$net.1:1,$net.2:1" -n 2 "$python" "$@"
}
between -m ist_mpi bench --json "$output" "$@"
case " $* " in
*" --quick "*) set -- --quick ;;
*) set -- ;;
esac
between analysis/bench/links.py "$output" "$@"
