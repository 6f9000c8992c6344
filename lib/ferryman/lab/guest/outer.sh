#!/bin/sh
# Process 1 of the lab's PID namespace, in the lab's network namespace, which is the lab's control host.
# Makes the pair of devices that joins control and the lab's router, then starts the lab's kernel (guest) or
# its namespaces (netns). When this ends, the kernel ends everything that was started here.
# Arguments: the engine, then the folder that the lab's kernel sees.
set -eu
engine=$1 share=$2

ip -batch "$share/control"
for device in control0 lab0; do
    ethtool -K "$device" tx off rx off tso off gso off gro off >/dev/null
done
echo 0 >/proc/sys/net/ipv4/conf/control0/rp_filter

case $engine in
guest)
    # Not exec: as process 1 the guest's kernel would miss the signals it sends to itself.
    # initcall_blacklist and cryptomgr.notests leave out benchmarks and self-tests, half of the kernel's start.
    preload="$share/xstate.so"
    [ -e "$preload" ] || preload=
    LD_PRELOAD="$preload" TMPDIR=/dev/shm /usr/bin/linux.uml mem=768M rootfstype=hostfs rootflags=/ ro init="$share/stage1.sh" \
        uml_dir="$share/uml/" umid=lab con=null con0=null,fd:2 quiet loglevel=3 \
        initcall_blacklist=raid6_select_algo,init_zswap cryptomgr.notests random.trust_bootloader=1 \
        "vec0:transport=raw,ifname=lab0,depth=128,gro=1" </dev/null
    ;;
netns)
    unshare --mount --net --pid --fork --kill-child /bin/sh "$share/stage1-netns.sh" "$share" </dev/null &
    here=$(readlink /proc/self/ns/net)
    while [ "$(readlink "/proc/$!/ns/net")" = "$here" ]; do sleep 0.05; done
    ip link set lab0 netns "$!" name vec0
    wait "$!"
    ;;
esac
