"""The command ``ferryman``: finds cookbooks, makes commands of them, maps outcomes to exit codes."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ferryman.errors import FerrymanError
from ferryman.outcomes import Outcome
from ferryman.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

OUTPUT_LOST = Outcome.ERROR.exit_code
"""The exit code of a command whose answer could not be written, where it would have been 0."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    gc.disable()  # what start-up imports is no garbage: looking through it takes a tenth of the time
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):  # what a host printed may be no text of ours
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    from ferryman.cli import output  # noqa: PLC0415  # from here on, for the collector is at rest
    from ferryman.engine import signals  # noqa: PLC0415  # the same

    output.watch()
    code = _with_lost_output(_run(arguments), output.lost())
    _flush_or_discard()
    signals.ignore_signals()
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:  # noqa: PLR0911  # one for each way that a command ends
    from ferryman.click_shim import Abort, ClickException  # noqa: PLC0415  # the same
    from ferryman.engine import signals  # noqa: PLC0415

    try:
        signals.interrupt_on_signals()
        from ferryman.cli.root import root  # noqa: PLC0415  # the table of commands, once errors are mapped

        gc.enable()
        status = root.main(args=arguments, prog_name="ferryman", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except ClickException as error:
        with suppress(OSError), io.StringIO() as shown:
            error.show(shown)
            print(printable(shown.getvalue()), end="", file=sys.stderr)  # noqa: T201  # this is the screen
        return error.exit_code
    except FerrymanError as error:
        _say(str(error))
        return error.exit_code
    except (Abort, KeyboardInterrupt):
        _say("interrupted; no run was begun")
        return Outcome.INTERRUPTED.exit_code
    except BrokenPipeError:
        return OUTPUT_LOST  # whoever read us has gone; there is nobody left to tell
    except Exception as error:  # noqa: BLE001  # the one place where a bug becomes a short message
        from ferryman.cli import output  # noqa: PLC0415  # only when there is one

        if error is output.lost():
            return OUTPUT_LOST
        from ferryman.cli.crash_report import record  # noqa: PLC0415  # only when there is one

        _say(record(error))
        return Outcome.ERROR.exit_code


def _with_lost_output(code: int, lost: OSError | None) -> int:
    """The exit code, unless it would say that all is well and nobody could read the answer.

    Of a reader that has gone nothing is said, as any program that ends by SIGPIPE says nothing.
    """
    if lost is None:
        return code
    if lost.errno != errno.EPIPE:
        _say(f"the output is not whole: {lost}{'' if code else '; but for that the exit code would be 0'}")
    return code or OUTPUT_LOST


def _open_what_is_closed() -> None:
    """Let a closed standard stream be the null device: else the next file opened would be in its place.

    Standard output is one that cannot be written, for whoever reads it is told nothing.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004  # standard error
        if descriptor == 1:
            reading = os.open(os.devnull, os.O_RDONLY)
            os.dup2(reading, descriptor)
            os.close(reading)
    os.close(descriptor)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # for good
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _flush_or_discard() -> None:
    """Leave nothing that Python would fail to write at its end, for that would change the exit code."""
    for stream in (sys.stdout, sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            assert stream is not None, "it was flushed"
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(message: str) -> None:
    first, *rest = printable(message).split("\n")
    with suppress(OSError):  # a terminal that is gone must not change the exit code
        print("\n".join([f"ferryman: {first}", *rest]), file=sys.stderr)  # noqa: T201  # this is the screen
