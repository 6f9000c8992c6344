#!/bin/sh
# Makes a bare Debian 12 ready. Run again, it does only what is missing. Packages of Debian need root; without root
# it names them and ends with 2.
# usage: bootstrap.sh [control | lab | dev]
#   control  .venv with the project and what it needs, nothing else: a control host (unless something else is given)
#   lab      that, and the packages that the lab's hosts run
#   dev      that, and the tools of the tests
# What pip installs must have one of the hashes of the lock, wherever it comes from.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-control}

# gcc and libc6-dev: the load of the tests of lost requests is a program in C, and the guest's kernel wants a
# library on processors with AMX.
# ifupdown: what a lab's hosts come back with after a reboot. systemd: its systemd-sysctl is compared with ours.
# openssl: certificates of a lab's services. dash, fish and tcsh: login shells. busybox: a small host's sh.
# sudo and libcap2-bin: users without root. kubernetes-client: kubectl judges what stands for an API server.
lab_packages='openssh-client openssh-server nginx-light keepalived ipvsadm iptables nftables iproute2 kmod util-linux
    procps ethtool curl git iputils-ping tcpdump gcc libc6-dev openssl user-mode-linux etcd-server etcd-client
    prometheus-alertmanager dash fish tcsh sudo libcap2-bin ifupdown systemd busybox kubernetes-client'
venv=.venv
case $purpose in
control) packages='' lock=requirements.lock ;;
lab) packages=$lab_packages lock=requirements.lock ;;
dev) packages=$lab_packages lock=requirements-dev.lock ;;
*)
    echo "usage: bootstrap.sh [control | lab | dev]" >&2
    exit 2
    ;;
esac
# One stamp for each lock: the environment of the tests has all that a control host has, and stays as it is.
stamp=$venv/.ferryman-$lock

missing_packages() {
    # shellcheck disable=SC2086  # one word for each package
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $packages 2>/dev/null || true)
    for package in $packages; do
        case "
$installed
" in
        *"
$package installed
"*) ;;
        *)
            # kubectl from elsewhere serves as well, and Debian's would have the same path.
            if [ "$package" != kubernetes-client ] || ! command -v kubectl >/dev/null; then
                printf '%s ' "$package"
            fi
            ;;
        esac
    done
    # python3 alone cannot make a virtual environment on Debian: ensurepip comes with python3-venv.
    if [ ! -x "$venv/bin/python" ] && ! python3 -c 'import ensurepip' 2>/dev/null; then
        printf 'python3-venv '
    fi
}

install_packages() {
    # The daemons are for the lab's hosts: none is started on this machine. Whoever has a policy keeps it.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    export DEBIAN_FRONTEND=noninteractive
    # The lists are missing or old on a bare machine: a first attempt that fails is no news.
    # shellcheck disable=SC2086  # one word for each package
    apt-get -qq install -y --no-install-recommends $1 >/dev/null 2>&1 || {
        apt-get -qq update
        apt-get -qq install -y --no-install-recommends $1 >/dev/null
    }
    # Nor at the next boot: a daemon that came with this stays off until its owner wants it.
    for daemon in nginx:nginx-light keepalived:keepalived ipvsadm:ipvsadm ssh:openssh-server etcd:etcd-server \
        prometheus-alertmanager:prometheus-alertmanager nftables:nftables networking:ifupdown; do
        case " $1 " in
        *" ${daemon#*:} "*) [ ! -d /run/systemd/system ] || systemctl -q disable "${daemon%%:*}" ;;
        esac
    done
}

missing=$(missing_packages)
if [ -n "$missing" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "packages are missing, and only root can install them: $missing" >&2
        exit 2
    fi
    echo "installing: $missing"
    install_packages "$missing"
fi

wanted=$(cat "$lock" pyproject.toml | sha256sum)
whole=$venv/.ferryman-requirements-dev.lock
[ "$purpose" = dev ] || [ "$(cat "$whole" 2>/dev/null)" != "$(cat requirements-dev.lock pyproject.toml | sha256sum)" ] ||
    stamp=$whole wanted=$(cat "$whole")
if [ ! -e "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    # One whose making was cut short has python and no pip.
    "$venv/bin/python" -c 'import pip' 2>/dev/null || python3 -m venv --clear "$venv"
    echo "installing the project into $venv"
    "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r "$lock"
    # The lock has what builds it, so nothing is fetched for that.
    "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    echo "$wanted" >"$stamp"
fi
# Quick when nothing is to do. Whoever may not write here would compile all of it again with each command; a cookbook
# that cannot be compiled is told by the command that wants it.
"$venv/bin/python" -m compileall -qq lib cookbooks || true
