"""Hosts, as everybody else sees them: who can be asked, and what they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ferryman.errors import DoubtError, VerifyError, WorldChangedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.hosts.verbs import ReadVerb, WriteVerb

    Questions = Mapping[str, Sequence[ReadVerb[Any]]]
    """What hosts are asked, by host."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HostAddress:
    """The address, port and user with which a host of the inventory is reached."""

    name: str
    address: str | None = None
    """An IP address or a DNS name; None: the host's own name."""
    port: int | None = None
    """None: what ssh_config says, else 22."""
    user: str | None = None
    """The user to log in as; None: that of ``[ssh]``."""
    jump: tuple[str, ...] | None = None
    """The hosts to go through, in the order in which they are passed; None: those of ``[ssh]``."""
    sudo: bool | None = None
    """Whether that user has no root of its own and asks sudo for it; None: as ``[ssh]`` says."""

    @property
    def target(self) -> str:
        """The address or name that is connected to."""
        return self.address or self.name


class Hosts(Protocol):
    """Whoever can ask hosts: the fleet, or a fake of it.

    What is asked, and done, is a verb; each call ends within the verb's deadline.
    """

    def read(self, host: str, verb: ReadVerb[T]) -> T:
        """Ask a host something; changes nothing.

        Raises:
            UnreachableError: The host could not be asked; nothing ran.
            UnknownOutcomeError: It was asked, and its answer was lost, or is longer than the verb's limit.
            VerifyError: The answer is an error (CommandFailedError), or is not understood.
        """

    def write(self, host: str, verb: WriteVerb[T]) -> T:
        """Do something to a host; raises as ``read`` does.

        Raises:
            DryRunError: This is a dry run; nothing ran.
            BusyError: Another process has resumed the run; nothing ran.
        """

    def read_all(self, verbs: Mapping[str, ReadVerb[T]]) -> dict[str, T | DoubtError | VerifyError]:
        """Ask each host its question, in parallel; one that gives no value has its error instead."""

    def read_together(self, questions: Questions) -> dict[str, list[Any]]:
        """Ask each host all of its questions at once, as one command; all hosts in parallel.

        By host: an answer for each question, in order; an error in the place of one that there is not.
        """

    def write_and_read(
        self, host: str, verb: WriteVerb[T], questions: Sequence[ReadVerb[Any]]
    ) -> tuple[T, list[Any]]:
        """Do something to a host, and ask it these questions right after it, as one command.

        Raises as ``write`` does. An error stands in the place of an answer that there is not.
        """


def value_or_error(hosts: Hosts, host: str, verb: ReadVerb[T]) -> T | DoubtError | VerifyError:
    """What a host answers; where it gives no value, its error instead."""
    try:
        return hosts.read(host, verb)
    except (DoubtError, VerifyError) as error:
        return error


def each_by_itself(hosts: Hosts, questions: Questions) -> dict[str, list[Any]]:
    """``Hosts.read_together`` by one reading after the other: for hosts that no command line goes to.

    What stops the run meanwhile is no answer, and goes through.
    """

    def ask(host: str, verb: ReadVerb[Any]) -> Any:  # noqa: ANN401  # of each verb another
        try:
            return hosts.read(host, verb)
        except (DoubtError, VerifyError, WorldChangedError) as error:
            return error

    return {host: [ask(host, verb) for verb in verbs] for host, verbs in questions.items()}
