"""What the daemons of the lab's hosts are started with: sshd, nginx, keepalived, and IPVS without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Forwarding, host_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.lab.topology import LabService, Topology
    from ferryman.model import Address

_NGINX = """\
worker_processes 1;
master_process off;
daemon on;
pid /run/nginx-{name}.pid;
error_log /lab/log/{name}.nginx warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    client_body_temp_path /lab/{name}/body;
    proxy_temp_path /lab/{name}/proxy;
    fastcgi_temp_path /lab/{name}/fastcgi;
    uwsgi_temp_path /lab/{name}/uwsgi;
    scgi_temp_path /lab/{name}/scgi;
    keepalive_requests 100000;
    server {{
{listens}
        location / {{ return 200 "{name}\\n"; }}
        location = /download {{ alias /lab/download; default_type application/octet-stream; }}
        location /kept/ {{ root /lab; dav_methods PUT; create_full_put_path on; }}
        location = /upload {{
            proxy_pass http://unix:/run/nginx-{name}.sock:/length;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Transfer-Encoding "";
            proxy_set_header X-Length $content_length;
        }}
    }}
    server {{
        listen unix:/run/nginx-{name}.sock;
        location = /length {{ return 200 "$http_x_length\\n"; }}
    }}
}}
"""
"""An upload is read to its end before the inner server is asked, which answers the length that was read.

What is put below /kept is kept, in one folder for all hosts."""

_SSHD = """\
HostKey /lab/{name}/ssh_host_ed25519_key
PidFile /run/sshd-{name}.pid
AuthorizedKeysFile /lab/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
StrictModes no
PrintMotd no
PrintLastLog no
MaxStartups 200
MaxSessions 200
SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Subsystem sftp internal-sftp
"""


_FILLED = """\
until [ "$(ipvsadm -Sn | wc -l)" -ge {lines} ]; do sleep 0.2; done
: >/run/{name}.filled
"""
"""Says when a director's table is complete: keepalived fills it in its own time.

What /proc/net/ip_vs has beyond its first page of memory is not whole."""


def sshd_config(name: str) -> str:
    """The text of a host's sshd_config."""
    return _SSHD.format(name=name)


def sshd_command(name: str) -> str:
    """The command that starts a host's sshd; ``-r`` saves the exec for each connection, slow in the guest."""
    return f"/usr/sbin/sshd -r -f /lab/{name}/sshd_config -E /lab/log/{name}.sshd"


def nginx_conf(name: str, ports: Sequence[int], tls_ports: Sequence[int] = ()) -> str:
    """The nginx.conf of a plain server or a pod, listening on these ports for both families."""
    listens = [f"        listen [::]:{port} ipv6only=off;" for port in ports]
    if tls_ports:
        listens += [f"        listen [::]:{port} ipv6only=off ssl;" for port in tls_ports]
        listens += [f"        ssl_certificate{end} /lab/tls.pem;" for end in ("", "_key")]
    return _NGINX.format(name=name, listens="\n".join(listens))


def nginx_command(name: str) -> str:
    """The command that starts the nginx of a plain server or a pod."""
    return f"/usr/sbin/nginx -c /lab/{name}/nginx.conf -e /lab/log/{name}.nginx"


def keepalived_command(name: str) -> str:
    """The command that starts a director's keepalived: checkers alone, no VRRP."""
    return (
        f"keepalived -n -l -D -C -f /etc/keepalived/keepalived.conf -p /run/keepalived-{name}.pid "
        f"-c /run/keepalived-{name}.checkers.pid >/lab/log/{name}.keepalived 2>&1 &"
    )


def keepalived_files(lab: Topology, name: str) -> dict[str, str]:
    """What is in a director's /etc/keepalived: a file for each service, with all its virtual servers."""
    main = f"global_defs {{\n    router_id {name}\n}}\n\ninclude /etc/keepalived/services/*.conf\n"
    services = {
        f"services/{service.name}.conf": "\n".join(_virtual_server(lab, service, vip) for vip in service.vips)
        for service in lab.kept_by("keepalived", name)
    }
    return {"keepalived.conf": main, **services}


def _virtual_server(lab: Topology, service: LabService, vip: Address) -> str:
    """One block of keepalived.conf; ``warmup 0``, for else the first check waits a random time."""
    method = {Forwarding.DIRECT: "DR", Forwarding.TUNNEL: "TUN"}[service.forwarding]
    lines = [
        f"virtual_server {vip} {service.port} {{",
        "    delay_loop 3",
        f"    lvs_sched {service.scheduler}",
        *(f"    {flag}" for flag in service.scheduler_flags),
        f"    lvs_method {method}",
        "    protocol TCP",
    ]
    for host in service.realservers:
        address = lab.realserver_address(host, vip)
        lines += [
            "",
            f"    real_server {address} {service.port} {{  # {host}",
            "        weight 1",
            "        TCP_CHECK {",
            "            connect_timeout 4",
            "            warmup 0",
            "        }",
            "    }",
        ]
    return "\n".join([*lines, "}\n"])


def table_filled(lab: Topology, name: str) -> str:
    """A script that ends when a director's table has everything: a line for each entry."""
    services = lab.directed_by(name)
    lines = sum(len(service.vips) * (1 + len(service.realservers)) for service in services)
    return _FILLED.format(name=name, lines=lines)


def ipvs_rules(lab: Topology, name: str) -> str:
    """What a director's ``ipvsadm -R`` reads: the services that no keepalived keeps there."""
    lines: list[str] = []
    for service in lab.kept_by("ipvsadm", name):
        for vip in service.vips:
            flags = f" -b {','.join(service.scheduler_flags)}" if service.scheduler_flags else ""
            lines.append(f"-A -t {host_port(vip, service.port)} -s {service.scheduler}{flags}")
            for host in service.realservers:
                destination = host_port(lab.realserver_address(host, vip), service.port)
                lines.append(
                    f"-a -t {host_port(vip, service.port)} -r {destination} {service.forwarding.value} -w 1"
                )
    return "".join(f"{line}\n" for line in lines)
