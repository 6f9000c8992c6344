"""A folder where the cookbook of ``waiting_cookbook.py`` can be run, and seen to wait."""

from __future__ import annotations

import os
import select
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

PATIENCE_S = 30.0
"""How long a test waits for what must come."""

CONFIGURATION = """
inventory = "inventory"
cookbooks = ["cookbooks"]
state = "sqlite:state.db"
lab = false
ssh = { identity = "key", known_hosts = "known_hosts" }
"""


@dataclass
class Workspace:
    """A configuration folder with two old files; nothing is told to wait yet."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("cookbooks", "inventory/nodes"):
            (self.folder / name).mkdir(parents=True)
        for name in ("directors", "hosts", "clusters"):
            (self.folder / "inventory" / f"{name}.yaml").write_text("{}\n")
        (self.folder / "inventory" / "services.yaml").write_text("service::catalog: {}\n")
        (self.folder / "key").write_bytes(_private_key())
        (self.folder / "known_hosts").touch()
        (self.folder / "ferryman.toml").write_text(CONFIGURATION)
        shutil.copy(Path(__file__).with_name("waiting_cookbook.py"), self.folder / "cookbooks" / "waiting.py")
        self.make_old()
        self.stop_at()
        for name in ("reached", "go"):
            os.mkfifo(self.folder / name)
        self._reached, self._go = (os.open(self.folder / name, os.O_RDWR) for name in ("reached", "go"))

    def close(self) -> None:
        """Close the two pipes through which test and process wait for each other."""
        os.close(self._reached)
        os.close(self._go)

    def make_old(self) -> None:
        """Write ``old`` into both files."""
        for name in ("a", "b"):
            (self.folder / name).write_text("old")

    def make_unsound_but_usable(self) -> None:
        """Give ``inventory lint`` something to warn of."""
        (self.folder / "inventory" / "hosts.yaml").write_text("unused: {address: 10.0.0.1}\n")

    def stop_at(self, *places: str) -> None:
        """From now on runs wait at these places: look-before, do-a, do-b, look-after, undo-b, undo-a."""
        (self.folder / "stops").write_text("\n".join(places))

    def have(self, name: str) -> None:
        """Make a file that the run looks for: fault-before, a fault-after or helper."""
        (self.folder / name).touch()

    def reached(self) -> str:
        """The place that the run waits at, as soon as it is there."""
        assert select.select([self._reached], [], [], PATIENCE_S)[0], "the run never got there"
        return os.read(self._reached, 100).decode().strip()

    def go_on(self) -> None:
        """Let the run that waits go on."""
        os.write(self._go, b"\n")

    @property
    def files(self) -> tuple[str, str]:
        """The texts of the files a and b."""
        return (self.folder / "a").read_text(), (self.folder / "b").read_text()


def _private_key() -> bytes:
    """A key that opens nothing: there is no host, but the command line wants one."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
