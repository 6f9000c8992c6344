"""The store of several control hosts: etcd v3, asked over its JSON gateway."""
