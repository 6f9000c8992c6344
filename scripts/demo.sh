#!/bin/sh
# A migration, a refusal and a rollback, in the lab; on a copy of the lab's inventory, so the checkout stays clean.
set -eu
cd "$(dirname "$0")/.."

demo=.ferryman/demo
ferryman="$PWD/.venv/bin/ferryman"
export FERRYMAN_CONFIG="$PWD/$demo/ferryman.toml"

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

# expect CODE COMMAND...: run it, and stop the demonstration when it ends with another code
expect() {
    wanted=$1
    shift
    printf '$ ferryman %s\n' "$*"
    code=0
    "$ferryman" "$@" || code=$?
    if [ "$code" -ne "$wanted" ]; then
        echo "demo: ended with exit code $code, expected $wanted" >&2
        exit 1
    fi
}

tables() {
    for director in lvs1 lvs2; do
        printf '$ ferryman lab exec %s -- ipvsadm -Ln -t %s\n' "$director" "$1"
        "$ferryman" lab exec "$director" -- ipvsadm -Ln -t "$1"
    done
}

[ ! -e "$FERRYMAN_CONFIG" ] || "$ferryman" lab down >/dev/null # what an earlier one left
rm -rf "$demo"
mkdir -p "$demo"
cp -r ferryman.toml inventory cookbooks "$demo/"
trap '"$ferryman" lab down' EXIT
trap 'exit 130' INT TERM HUP

say "1. The lab: two directors, three realservers, two Kubernetes-like nodes, with a real kernel's IPIP and IPVS"
expect 0 lab up
tables 10.99.0.1:80

say "2. A dry run: every finding, every edit, and nothing changed"
expect 0 migrate web --site lab --dry-run

say "3. The migration"
expect 0 migrate web --site lab --yes --reason demonstration
tables 10.99.0.1:80
diff -u inventory/services.yaml "$demo/inventory/services.yaml" || true

say "4. A second service is refused: something is wrong on a realserver, and nothing is changed"
expect 0 lab fault put rp-filter-strict web2
expect 3 migrate maps --site lab --yes
expect 0 lab fault clear

say "5. A third is rolled back: a realserver breaks after the first director was flipped"
expect 0 lab fault put breaks-after-flip web3
expect 4 migrate static --site lab --yes
tables 10.99.0.3:8081

say "6. The journal"
expect 0 runs

say "7. The lab goes, and leaves nothing"
