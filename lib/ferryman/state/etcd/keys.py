"""Under which keys of etcd runs, records and locks are stored.

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
    """The keys under one prefix; with an empty name, the prefix of all keys of a kind."""

    prefix: str

    @property
    def schema(self) -> str:
        """The key of the number of this layout."""
        return f"{self.prefix}/schema"

    def run(self, run: str) -> str:
        """The key of a run's row."""
        return f"{self.prefix}/runs/{run}"

    def records_of(self, run: str) -> str:
        """The prefix of the keys of a run's records."""
        return f"{self.prefix}/records/{run}/"

    def records(self, run: str, seq: int) -> str:
        """The key of the batch of records that begins with this number."""
        return f"{self.records_of(run)}{seq:08d}"

    def lock(self, key: str) -> str:
        """The key of a lock's row."""
        return f"{self.prefix}/locks/{key}"

    def alive(self, run: str) -> str:
        """The key that says which process works on a run."""
        return f"{self.prefix}/alive/{run}"
