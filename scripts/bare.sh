#!/bin/bash
# Makes a bare Debian, clones what is committed here into it, and runs a command in the clone as on a fresh machine.
# At the end nothing is left of it, unless it is to be kept. The machine's network is used to install packages.
# usage: bare.sh [-k FOLDER] [-p PLACE] [-b FOLDER]... [COMMAND]
#   COMMAND    what to run in the clone; `make demo && make test` unless it is given
#   -k FOLDER  keep the Debian in this folder, with what is installed there, and use it again the next time
#   -p PLACE   where the clone goes in it; /root/ferryman unless it is given
#   -b FOLDER  let it see this folder of the machine, where a package mirror is on disk
# It needs root, mmdebstrap, git and two gigabytes of disk. APT's sources for the suite ($BARE_SUITE, else bookworm)
# and pip's settings are this machine's own.
set -euo pipefail

usage() {
    sed -n '2,/^set/ s/^# \{0,1\}//p' "$0"
    exit 2
}

kept='' place=/root/ferryman bound=()
while getopts k:p:b:h option; do
    case $option in
    k) kept=$OPTARG ;;
    p) place=$OPTARG ;;
    b) bound+=("$(realpath "$OPTARG")") ;;
    *) usage >&2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -le 1 ] || usage >&2
command=${1:-make demo && make test}
suite=${BARE_SUITE:-bookworm}
project=$(git -C "$(dirname "$(realpath "$0")")" rev-parse --show-toplevel)

if [ "$(id -u)" -ne 0 ]; then
    echo "only root can make a bare Debian: sudo $0" >&2
    exit 2
fi
if ! command -v mmdebstrap >/dev/null; then
    echo "mmdebstrap is not installed: apt-get install mmdebstrap" >&2
    exit 2
fi
if [ -n "$(git -C "$project" status --porcelain --untracked-files=no)" ]; then
    echo "what is not committed is not in the clone" >&2
fi

# All mounts are in a namespace that is gone at the end; --one-file-system is for the day when one is not.
kept=${kept:+$(realpath -m "$kept")}
made=$(mktemp -d "${kept:-${TMPDIR:-/var/tmp}/ferryman-bare}.XXXXXX")
trap 'rm -rf --one-file-system "$made"' EXIT
trap 'exit 1' HUP INT TERM
root=${kept:-$made/debian}
if [ ! -e "$root" ]; then
    # The machine's own sources, so that a mirror or proxy that it has is used; else mmdebstrap's.
    mapfile -t sources < <(grep -ls "\b$suite\b" /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} || true)
    include=ca-certificates,python3,make,git
    mmdebstrap --quiet --variant=minbase --include=$include "$suite" "$made/new" "${sources[@]}"
    mv "$made/new" "$root"
fi
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "$file" ] || cp -L "$file" "$root$file"
done

settings=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb CI=true)
while read -r variable; do
    settings+=("$variable")
done < <(env | grep -iE '^(pip_[a-z_]+|https?_proxy|no_proxy|ssl_cert_file|requests_ca_bundle)=' || true)

# A PID namespace: whatever the command leaves running ends with it.
unshare --mount --pid --fork --kill-child --propagation private /bin/bash -euc '
root=$1 project=$2 place=$3 command=$4
shift 4
bound=()
while [ "$1" != -- ]; do bound+=("$1"); shift; done
shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
for folder in "${bound[@]}"; do
    mkdir -p "$root$folder"
    mount --rbind "$folder" "$root$folder"
done
rm -rf "$root$place"
mkdir -p "$root$(dirname "$place")"
git clone -q "$project" "$root$place"
mkdir -p "$root/machine"
cd "$root"
pivot_root . machine
cd /
umount -l /machine
rmdir /machine
hash -r
# Not exec: this shell stays process 1 and reaps what others leave behind.
env -i "$@" /bin/bash -c "cd \"\$0\" && $command" "$place" || exit
exit 0
' - "$root" "$project" "$place" "$command" "${bound[@]}" -- "${settings[@]}"
