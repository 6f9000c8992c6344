#!/bin/sh
# Process 1 of the lab on the machine's own kernel: the counterpart of stage1.sh. It is in mount, network and PID
# namespaces of its own; it gets the same overlay in memory over the machine's file system, and the same stage 2.
# Argument: the folder shared with the machine.
set -eu
share=$1
exec >>"$share/log" 2>&1

lab=$share/mount # a path that labs make: no spaces, so it needs no quotes below
mkdir $lab
mount -t tmpfs lab $lab
mkdir $lab/upper $lab/work $lab/root
mount -t overlay -o lowerdir=/,upperdir=$lab/upper,workdir=$lab/work lab $lab/root
mkdir -p $lab/root/lab
sed "s|/mnt/root|$lab/root|" "$share/fstab" >$lab/fstab
mount -a -T $lab/fstab
mkdir -p $lab/root/dev/pts $lab/root/lab/share
mount -t devpts -o newinstance,mode=600,ptmxmode=666 devpts $lab/root/dev/pts
mount --bind "$share" $lab/root/lab/share
cd $lab/root
pivot_root . mnt
until [ -e sys/class/net/vec0 ]; do sleep 0.05; done
exec chroot . /bin/sh /lab/share/stage2.sh /lab/share </dev/null
