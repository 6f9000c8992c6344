"""A small inventory that is sound, to be broken one file at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Written = Callable[..., Path]

SERVICES = """\
service::catalog:
  web:
    description: A web server
    encryption: false
    ip:
      lab:
        weblb: 10.99.0.1
        weblb6: fd99::1
    port: 80
    sites:
      - lab
    state: production
    lvs:
      enabled: true
      class: low-traffic
      scheduler: wrr
      conftool:
        cluster: web
        service: nginx
    probes:
      - type: http
        path: /healthz
      - type: http
      - type: tcp
  maps:
    encryption: true
    ip:
      lab:
        default: 10.99.0.2
    port: 8080
    sites: [lab, far]
    state: production
    lvs:
      enabled: true
      class: low-traffic
      scheduler: mh
      scheduler_flag: mh-port
      protocol: udp
      ipip_encapsulation: [lab]
      conftool: {cluster: kubernetes, service: kubesvc}
  wiki-dumps:
    encryption: true
    ip: {lab: {default: 10.99.0.3}}
    port: 443
    sites: [lab]
    state: production
  echostore:
    encryption: true
    ip: {lab: {default: 10.99.0.4}}
    port: 443
    sites: [lab]
    state: service_setup
    lvs: {enabled: false, class: low-traffic, conftool: {cluster: web, service: nginx}}
"""
NODES = """\
lab:
  web:
    web1: [nginx]
    web2: [nginx, other]
    web3: [other]
  kubernetes:
    node1: [kubesvc]
"""
DIRECTORS = """\
lab:
  low-traffic:
    - {host: lvs1, role: primary, driver: keepalived, config: /etc/keepalived/keepalived.conf}
    - {host: lvs2, role: secondary, driver: keepalived}
    - {host: lvs3, role: secondary, driver: keepalived}
"""
HOSTS = """\
lvs1: {address: 10.10.0.11, address6: 'fd10::11', port: 2222, user: ferry}
lvs2: {address6: 'fd10::12'}
lvs3:
web1: {address: 10.10.0.21, address6: 'fd10::21'}
web2: {address: 10.10.0.22, address6: 'fd10::22'}
node1: {address: 10.10.0.31, kind: kubernetes, cluster: staging}
"""
CLUSTERS = """\
staging: {api: 'https://10.10.0.31:6443', pod_mtu: 1460, stage: staging}
"""
SOUND = {
    "services.yaml": SERVICES,
    "nodes/lab.yaml": NODES,
    "directors.yaml": DIRECTORS,
    "hosts.yaml": HOSTS,
    "clusters.yaml": CLUSTERS,
}


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write the sound inventory, with some of its files otherwise (``None``: not there)."""

    def write(changes: dict[str, str | bytes | None] | None = None, /) -> Path:
        for name, content in {**SOUND, **(changes or {})}.items():
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            if content is not None:
                file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


@pytest.fixture
def replaced(written: Written) -> Written:
    """Write the sound inventory with one piece of one file otherwise."""

    def write(name: str, old: str, new: str) -> Path:
        assert old in SOUND[name], f"{old!r} is not in {name}"
        return written({name: SOUND[name].replace(old, new, 1)})

    return write
