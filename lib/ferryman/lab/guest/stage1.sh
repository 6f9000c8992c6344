#!/bin/sh
# Process 1 of the guest's kernel. Its root is the machine's own file system, read-only, with the rights of the
# unprivileged user that runs it; here it gets an overlay in memory, so that nothing is ever written back, and
# the one folder that it shares with the machine.
# mount is a copy without the set-uid bit: the machine's root is nobody here, and set-uid nobody cannot mount.
set -eu
share=${0%/*}
PATH=$share/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

mount -t proc proc /proc
mount -t tmpfs lab /mnt
mkdir /mnt/upper /mnt/work /mnt/root /mnt/share
mount -t hostfs -o "$share" none /mnt/share
exec >>/mnt/share/log 2>&1
read -r release </proc/sys/kernel/osrelease
modules=/usr/lib/uml/modules/$release
insmod "$modules/kernel/fs/overlayfs/overlay.ko"
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work lab /mnt/root
mkdir -p /mnt/root/lab /mnt/root/usr/lib/modules
ln -s "$modules" "/mnt/root/usr/lib/modules/$release"
mount -a -T /mnt/share/fstab
mkdir /mnt/root/dev/pts /mnt/root/lab/share
mount -t devpts -o mode=600,ptmxmode=666 devpts /mnt/root/dev/pts
mount --bind /mnt/share /mnt/root/lab/share
cd /mnt/root
pivot_root . mnt
exec chroot . /bin/sh /lab/share/stage2.sh /lab/share </dev/null
