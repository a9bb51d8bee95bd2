"""The command line: `lilliput VERB …`. Each verb is a thin layer over a library function."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from lilliput.errors import LilliputError, UserError

USER_MISTAKE, FAILED_CHECK, INTERRUPTED = 2, 1, 130
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Interrupted(Exception):  # noqa: N818  not an error: the user's wish
    """Ctrl-C, carried past the command line library, which has its own message for it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line; exit code 0: done, 1: a check failed, 2: a mistake to mend, 130: Ctrl-C."""
    try:
        from lilliput.cli.verbs import app

        try:
            app(args=None if arguments is None else list(arguments), prog_name="lilliput")
        finally:
            sys.stdout.flush()  # here and not at the end of Python: a reader that left is found out now
    except (Interrupted, KeyboardInterrupt):
        _leave(INTERRUPTED, "interrupted; finished files are whole, unfinished ones were not written")
    except UserError as error:
        _leave(INTERRUPTED if _by_the_user(error) else USER_MISTAKE, str(error))
    except LilliputError as error:
        _leave(FAILED_CHECK, str(error))
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Nothing may complain when Python flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _leave(USER_MISTAKE, system_message(error))
    except Exception as error:
        _unexpected(error)
        raise


def system_message(error: OSError) -> str:
    """One line for what the operating system refused."""
    where = f"'{error.filename}': " if error.filename else ""
    if error.errno in NO_SPACE:
        remedy = "nothing half-written was left. Free some space, or choose another folder"
        return f"{where}{error.strerror}; {remedy}"
    return f"{where}{error.strerror or error}; check the place and its permissions"


def _by_the_user(error: BaseException) -> bool:
    """Whether Ctrl-C is behind an error that says how to go on (training that keeps its checkpoint)."""
    chain: BaseException | None = error
    seen: set[int] = set()  # a chain may close on itself: `raise error from error`
    while chain is not None and id(chain) not in seen:
        if isinstance(chain, KeyboardInterrupt):
            return True
        seen.add(id(chain))
        chain = chain.__cause__ or chain.__context__
    return False


def _unexpected(error: Exception) -> None:
    """The traceback follows: this one is our mistake, and a report of it needs the place."""
    print(
        f"lilliput: this is a mistake in Lilliput, not yours ({type(error).__name__}). Please report it:",
        file=sys.stderr,
    )


def _leave(code: int, message: str) -> None:
    from lilliput.cli.support import complain

    complain(message)
    sys.exit(code)
