"""The command ``ferryman``: finds cookbooks, makes commands, maps what became of them to exit codes."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, NoReturn

from ferryman.commandline import Abort, ClickException, Exit
from ferryman.errors import FerrymanError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):  # what a host printed may be no text of ours
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    from ferryman.cli.root import root  # noqa: PLC0415  # the table of commands, after the error mapping stands

    try:
        status = root.main(args=arguments, prog_name="ferryman", standalone_mode=False)
        code = status if isinstance(status, int) else 0
    except Exit as leaving:
        code = leaving.exit_code
    except ClickException as error:
        error.show()
        code = error.exit_code
    except FerrymanError as error:
        _say(str(error))
        code = error.exit_code
    except (Abort, KeyboardInterrupt):
        _say("interrupted; nothing was changed")
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone; there is nobody left to tell
        code = 1
    except Exception as error:  # noqa: BLE001  # the one place where a bug becomes a short message
        from ferryman.cli.bugs import record  # noqa: PLC0415  # only when there is one

        _say(record(error))
        code = 1
    sys.exit(code)


def _say(message: str) -> None:
    first, *rest = message.splitlines() or [""]
    print("\n".join([f"ferryman: {first}", *rest]), file=sys.stderr)  # noqa: T201  # this is the screen
