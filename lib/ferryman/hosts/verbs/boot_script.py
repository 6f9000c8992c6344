"""The part of the facts script that reads what a host does at its next boot.

One ``grep`` reads the files of all programs that set a network up or kernel settings, and a second one the
scripts that those name. Of each file come the lines alone that may matter, 500 at most: the others may hold
keys and passwords. Regular files are read, nothing is run, and no folder is descended into.
"""

BOOT = r"""
boot_files() {
  for f in /etc/network/interfaces /etc/network/interfaces.d/* /run/network/interfaces.d/* \
    /etc/systemd/network/*.netdev /etc/systemd/network/*.network /etc/systemd/network/*.d/*.conf \
    /run/systemd/network/*.netdev /run/systemd/network/*.network /usr/local/lib/systemd/network/* \
    /etc/netplan/*.yaml /etc/NetworkManager/system-connections/* /run/NetworkManager/system-connections/* \
    /etc/systemd/system/*.service /etc/systemd/system/*.service.d/*.conf \
    /usr/local/lib/systemd/system/*.service /etc/default/ufw /etc/ufw/ufw.conf \
    /etc/default/wikimedia-lvs-realserver /etc/keepalived/*.conf \
    /etc/keepalived/*/*.conf /etc/frr/*.conf /etc/cloud/cloud.cfg /etc/cloud/cloud.cfg.d/*.cfg \
    /var/lib/cloud/instance/user-data.txt /etc/modules /etc/modules-load.d/*.conf /etc/modprobe.d/*.conf \
    /etc/crontab /etc/cron.d/* /var/spool/cron/crontabs/root "$@"
  do
    if [ -f "$f" ]; then chosen=$chosen$f$nl; fi
  done
  for f in /etc/rc.local /etc/network/if-pre-up.d/* /etc/network/if-up.d/* \
    /etc/NetworkManager/dispatcher.d/* /etc/networkd-dispatcher/*/* /var/lib/cloud/scripts/per-boot/*; do
    if [ -f "$f" ] && [ -x "$f" ]; then chosen=$chosen$f$nl; fi
  done
}
boot() {
  chosen=; IFS=$nl
  if [ -n "$profiles" ]; then
    boot_files /etc/tuned/tuned-main.conf /etc/tuned/*/tuned.conf /etc/tuned/profiles/*/tuned.conf \
      /usr/lib/tuned/*/tuned.conf /usr/lib/tuned/profiles/*/tuned.conf
  else boot_files
  fi
  set -f
  found=$(grep -IHnsE -m 500 "$BOOT_WORDS" $chosen /dev/null)
  printf '%s\n' "$found"
  read -r l </proc/cmdline
  case $l in *sysctl[./]*) printf '/proc/cmdline:1:%s\n' "$l" ;; esac
  IFS="=$blanks"; named=
  for w in $found; do
    w=${w#[-@+!:\"\']}; w=${w%[\"\';]}
    case $w in
    /usr/local/* | /opt/* | /srv/* | /root/* | /home/* | /etc/* | /usr/share/* | /usr/lib/* | /lib/*)
      case $w in *:* | /etc/network/* | /etc/sysctl*) continue ;; esac
      case $nl$chosen$named in *"$nl$w$nl"*) continue ;; esac
      if [ -f "$w" ]; then named=$named$w$nl; fi ;;
    esac
  done
  IFS=$nl
  if [ -n "$named" ]; then grep -IHnsE -m 500 "$BOOT_WORDS" $named /dev/null; fi
  set +f; unset IFS
}
around() {
  found="boot${nl}tuned $profiles$nl"
  for f in /etc/systemd/system/*.wants/* /run/systemd/system/*.wants/* /run/systemd/generator*/*.wants/*; do
    if [ -L "$f" ]; then found=${found}wanted\ $f$nl; fi
  done
  for f in /etc/systemd/system/*.service; do
    if [ -c "$f" ]; then found=${found}masked\ $f$nl; fi
  done
  for f in /sbin/ifup /usr/sbin/ifup /lib/ufw/ufw-init /usr/lib/ufw/ufw-init /var/lib/dpkg/info/ufw.list \
    /lib/systemd/system/ufw.service /usr/lib/systemd/system/ufw.service \
    /usr/lib/systemd/libsystemd-shared-*.so /lib/systemd/libsystemd-shared-*.so \
    /usr/lib/*-linux-*/systemd/libsystemd-shared-*.so; do
    if [ -e "$f" ]; then found=${found}there\ $f$nl; fi
  done
  printf %s "$found"
}
blanks=$IFS nl='
'
# Of each file only the lines that may matter: some have keys and passwords.
BOOT_WORDS='^[[:space:]]*(\[|auto |allow-|iface |mapping |source|(pre-|post-)?up |address|Name *=|Kind *='
BOOT_WORDS=$BOOT_WORDS'|Independent *=|Tunnel *=|Address *=|IPv4ReversePathFilter *=|Exec[A-Z][A-Za-z]* *='
BOOT_WORDS=$BOOT_WORDS'|type *=|interface-name *=|autoconnect *=|include *=|reapply_sysctl|ENABLED *='
BOOT_WORDS=$BOOT_WORDS'|IPT_SYSCTL *=|blacklist ip|install ip|[A-Za-z0-9_."-]+:[[:space:]]*$|bootcmd:'
BOOT_WORDS=$BOOT_WORDS'|@reboot)|echo .*> *["]?[$]|rp_filter|ipv4[./]|ipip|ip6tnl|tunl0|ip6_tunnel|sysctl'
BOOT_WORDS=$BOOT_WORDS'|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|(^|[^0-9A-Za-z])[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]*:'
profiles=
if [ -r /etc/tuned/active_profile ]; then read -r profiles </etc/tuned/active_profile || :; fi
"""
