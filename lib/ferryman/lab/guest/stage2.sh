#!/bin/sh
# The lab itself, the same on either kernel: modules, namespaces, addresses, daemons. Forking is slow in the
# guest (some 30 ms each), so everything comes in batches.
# Argument: the folder shared with the machine. Writes `ready` there.
set -eu
share=$1
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
OPENSSL_CONF=/dev/null # reading the machine's own costs each daemon 30 ms
export PATH OPENSSL_CONF
at() { read -r up rest </proc/uptime; echo "$up $1" >>/lab/boot.times; }

at begin
modprobe -a $(cat "$share/modules")
at modules
cp -r --remove-destination "$share/files/." /
[ ! -e /lab/without_root.sh ] || /bin/sh /lab/without_root.sh
at files
mkdir -p /run/sshd /lab/log
ip link set lo up
ip -batch /lab/links
at links
ip -batch /lab/starts || { tail -n +1 /lab/log/*.start; exit 1; }
at started
for script in /lab/*/filled.sh; do
    director=${script%/filled.sh}
    until [ -e "/run/${director#/lab/}.filled" ]; do sleep 0.1; done
done
at filled
cat /lab/boot.times >"$share/times"
: >"$share/ready"
while :; do sleep 3600 & wait; done
