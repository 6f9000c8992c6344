"""Established connections over a change of forwarding method, on Debian's kernels, a guest for each.

    python -m tests.bench.kernels [SUITE|FOLDER ...]

Every suite's newest cloud kernel is fetched with ``apt-get download`` (about 40 MB, kept in
``.ferryman/kernels``), put beside an initramfs of this host's own ip, ipvsadm and tcpdump, and booted by
QEMU in full emulation: no KVM, no network card, some minutes a kernel. ``init`` beside this file is what
happens in the guest, ``flows.c`` the connections. What comes out is told at the end of
``docs/decisions/0003-host-routes-before-a-flip.md``. A line that says failed is a case that does not count.

Needs a Debian host (its apt sources name the mirror, its keyring signs) with qemu-system-x86,
busybox-static, cpio, kmod, gcc, ipvsadm, tcpdump and dash. What is absent is named, and nothing is done.
Not part of ``make test``. A folder into which a kernel's packages were unpacked does as well as a suite.
"""

from __future__ import annotations

import argparse
import lzma
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".ferryman" / "kernels"
SUITES = ("bullseye-security", "bookworm-security", "trixie-security", "sid", "trixie-backports")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MODULES = ("veth", "bridge", "ip_vs", "ip_vs_rr", "ipip", "ip6_tunnel")
PROGRAMS = ("ip", "ipvsadm", "tcpdump")
PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "depmod": "kmod",
    "gcc": "gcc",
    "ipvsadm": "ipvsadm",
    "tcpdump": "tcpdump",
    "dash": "dash",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "ip": "iproute2",
}
LONGEST = 1200
"""Seconds that a guest may take."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that was fetched and unpacked; ``root`` has its boot and lib folders."""

    release: str
    root: Path

    @property
    def image(self) -> Path:
        """What QEMU boots; newer packages have it beside the modules."""
        old = self.root / "boot" / f"vmlinuz-{self.release}"
        return old if old.exists() else self.root / "lib/modules" / self.release / "vmlinuz"

    def modules(self) -> list[Path]:
        """The modules that the guest loads and all they need, in the order of loading."""
        tree = ["-d", str(self.root), "-S", self.release]
        lines = run("modprobe", *tree, "--show-depends", "-a", *MODULES).splitlines()
        return list(dict.fromkeys(Path(line.split()[1]) for line in lines if line.startswith("insmod ")))

    def unpack(self, debs: Iterable[Path]) -> None:
        """Unpack the packages, and say what module needs what, as their installation would."""
        for deb in debs:
            run("dpkg-deb", "-x", str(deb), str(self.root))
        if not (self.root / "lib").exists():
            (self.root / "lib").symlink_to("usr/lib")
        run("depmod", "-b", str(self.root), self.release)


def run(*words: str, cwd: Path | None = None) -> str:
    """Run a program; its standard output. What it says on standard error is shown."""
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=cwd).stdout


class Apt:
    """An apt of one suite alone, beside the system's: same mirror and keys, lists and cache of its own."""

    def __init__(self, suite: str) -> None:
        self.folder = CACHE / suite
        for name in ("lists/partial", "cache/archives/partial", "debs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        source = self.folder / "sources.list"
        source.write_text(f"deb [signed-by={KEYRING} arch=amd64] {mirror(suite)} {suite} main\n")
        settings = {
            "Dir::Etc::sourcelist": source,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": self.folder,
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self.folder / "cache",
            "APT::Sandbox::User": "root",
        }
        self.options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        run("apt-get", *self.options, "-qq", "update")

    def needed(self, package: str) -> list[str]:
        """A package and those of the kernel's own that it depends on: newer kernels come in several."""
        shown = run("apt-cache", *self.options, "show", "--no-all-versions", package)
        depends = " ".join(line for line in shown.splitlines() if line.startswith("Depends:"))
        names = re.findall(r"\blinux-(?:image|binary|modules|base)-\d\S*", depends)
        return [package, *(below for name in names for below in self.needed(name))]

    def kernel(self) -> Kernel:
        """The suite's newest cloud kernel; fetched, unless it is here."""
        _, image, *parts = dict.fromkeys(self.needed("linux-image-cloud-amd64"))
        kernel = Kernel(image.removeprefix("linux-image-"), self.folder / image)
        if not (kernel.root / "lib/modules" / kernel.release / "modules.dep").exists():
            debs = self.folder / "debs" / image
            debs.mkdir(exist_ok=True)
            run("apt-get", *self.options, "-qq", "download", image, *parts, cwd=debs)
            kernel.unpack(debs.glob("*.deb"))
        return kernel


def unpacked(root: Path) -> Kernel:
    """A kernel whose packages somebody else fetched and unpacked there; ``depmod`` has seen its modules."""
    return Kernel(next((root / "lib/modules").iterdir()).name, root.resolve())


def mirror(suite: str) -> str:
    """The mirror that this host's apt uses for such a suite."""
    archive = "/debian-security/" if suite.endswith("-security") else "/debian/"
    used = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").splitlines()
    fits = next((name for name in used if name.endswith(archive)), None)
    return fits or sys.exit(f"{suite}: no apt source of this host ends in {archive}; add Debian's")


def programs() -> dict[str, Path]:
    """What the guest runs, by its path in there: this host's programs with their libraries, and our own."""
    flows = CACHE / "flows"
    run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", str(flows), str(HERE / "flows.c"))
    files = {
        "init": HERE / "init",
        "etc/passwd": Path("/etc/passwd"),
        "bin/sh": found("dash"),
        "bin/busybox": found("busybox"),
        "usr/sbin/flows": flows,
    }
    for program in map(found, PROGRAMS):
        files[f"usr/sbin/{program.name}"] = program
    for file in list(files.values()):
        libraries = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
        files |= {name[1:]: Path(name) for name in re.findall(r"(/\S+) \(0x", libraries)}
    return files


def found(program: str) -> Path:
    """Where a program is; it was seen to be there."""
    return Path(shutil.which(program) or program)


def initramfs(kernel: Kernel) -> Path:
    """The guest's whole file system, as a cpio archive that a kernel boots from."""
    tree = CACHE / f"{kernel.release}.tree"
    shutil.rmtree(tree, ignore_errors=True)
    files = {name: file.read_bytes() for name, file in programs().items()}
    for number, module in enumerate(kernel.modules()):
        files[f"modules/{number:02}-{module.name.partition('.')[0]}.ko"] = plain(module)
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
        (tree / name).chmod(0o755)
    archive = CACHE / f"{kernel.release}.cpio"
    run("sh", "-c", f"find . | cpio --quiet -o -H newc > '{archive}'", cwd=tree)
    return archive


def plain(module: Path) -> bytes:
    """A module's bytes, unpacked: not every kernel unpacks them itself."""
    return lzma.decompress(module.read_bytes()) if module.suffix == ".xz" else module.read_bytes()


def boot(kernel: Kernel) -> list[str]:
    """What the guest says, line by line; shown while it runs."""
    words = ["timeout", str(LONGEST), "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512"]
    words += ["-nographic", "-no-reboot", "-nic", "none", "-kernel", str(kernel.image)]
    words += ["-initrd", str(initramfs(kernel)), "-append", "console=ttyS0 quiet panic=-1 mitigations=off"]
    lines = []
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as guest:
        assert guest.stdout
        for line in guest.stdout:
            print(f"{kernel.release}: {line.rstrip()}", flush=True)
            lines.append(line.strip())
    if "finished" not in lines:
        sys.exit(f"{kernel.release}: the guest did not finish; its last words are above")
    return lines


def absent() -> list[str]:
    """The packages to install, as far as programs are not found."""
    packages = {package for program, package in PACKAGES.items() if not shutil.which(program)}
    return sorted(packages | ({"debian-archive-keyring"} if not KEYRING.exists() else set()))


def main() -> None:
    """Boot each kernel and print one table of all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kernels", nargs="*", metavar="SUITE|FOLDER", help=f"default: {' '.join(SUITES)}")
    wanted = parser.parse_args().kernels or SUITES
    if missing := absent():
        print(f"skipped, not installed: apt install {' '.join(missing)}")
        return
    kernels = [unpacked(Path(suite)) if Path(suite).is_dir() else Apt(suite).kernel() for suite in wanted]
    table = [row(kernel, line) for kernel in kernels for line in boot(kernel) if line.startswith("case ")]
    print("| kernel | family | case | host routes | old alive | new alive | asked for the VIP |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(table))


def row(kernel: Kernel, line: str) -> str:
    """The line of the table for one kernel."""
    _, family, case, routes, *counts = line.split()
    cells = (kernel.release, family, case, routes, *(count.partition("=")[2] for count in counts))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
