"""Under which keys of etcd what stands.

Under the prefix of ``state``::

    schema           {"schema": 1}
    runs/RUN         the run's row as JSON, rewritten with each append: it has the number of records, and the
                     last one's checksum
    records/RUN/SEQ  a list of records as JSON, from number SEQ on
    locks/KEY        a lock's row as JSON; as in the file, it outlives the process
    alive/RUN        the process that works on the run; bound to its lease, so that it goes when that ends
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys under one prefix; with an empty name, what all keys of a kind begin with."""

    prefix: str

    @property
    def schema(self) -> str:
        """What the layout's number is under."""
        return f"{self.prefix}/schema"

    def run(self, run: str) -> str:
        """A run's row."""
        return f"{self.prefix}/runs/{run}"

    def records_of(self, run: str) -> str:
        """What the keys of a run's records begin with."""
        return f"{self.prefix}/records/{run}/"

    def records(self, run: str, seq: int) -> str:
        """The portion of records that begins with this number."""
        return f"{self.records_of(run)}{seq:08d}"

    def lock(self, key: str) -> str:
        """A lock's row."""
        return f"{self.prefix}/locks/{key}"

    def alive(self, run: str) -> str:
        """The process that works on a run."""
        return f"{self.prefix}/alive/{run}"
