"""Running as a program: exit statuses, and one line for a refusal of the operating system or a signal."""

import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from pipeline.core import signals
from pipeline.core.errors import UserError
from pipeline.core.text import printable

TRACEBACK = "GENGA_TRACEBACK"
"""Environment variable: show tracebacks of what the operating system refused, too."""

_MAKE_ROOM = "make room on that disk, then give the same command again"
_REMEDIES = {
    errno.ENOSPC: _MAKE_ROOM,
    errno.EDQUOT: _MAKE_ROOM,
    errno.EFBIG: "the file system or a limit (ulimit -f) allows no larger file",
    errno.EACCES: "allow yourself to read and write there (ls -l), or choose another place",
    errno.EPERM: "allow yourself to read and write there (ls -l), or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENOENT: "it was removed meanwhile, or never was there: put it back",
    errno.EISDIR: "a folder lies where a file should: move it away",
    errno.ENOTDIR: "a file lies where a folder should: move it away",
    errno.EEXIST: "something lies there already: move it away",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ELOOP: "a symbolic link leads back to itself: remove it",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.EIO: "the disk may be failing",
}


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _printable_lines(super().format(record))


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def run_as_program(name: str, work: Callable[[], object]) -> NoReturn:
    """Call `work` and exit the process with a status; log and errors go to standard error, each line headed by `name`.

    The status is 0 when done; 2 for a UserError, an OSError or lack of memory, without a traceback; 128 plus the signal's
    number when interrupted. Other exceptions are not caught. A stage that DVC or `genga compare` has started ends with it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Printable(f"{name}: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names are bytes, and need not be text
    signals.raise_on_termination()
    if os.environ.get(signals.CHILD) or os.environ.get("DVC_STAGE"):
        signals.end_with_parent(os.getppid())
    warnings.filterwarnings("ignore", r"\d+ tasks which were")  # joblib's, about work that was not waited for
    text, status = _ending(work)  # by now nothing refers to frames of the work: its progress bars are closed, its files removed
    if text:
        print(f"{name}: {_printable_lines(text)}", file=sys.stderr)
    sys.exit(status)  # type: ignore[arg-type]


def _ending(work: Callable[[], object]) -> tuple[str, object]:
    """Call `work`; return the message about how it ended ("" if there is none to show) and the exit status."""
    try:
        work()
    except UserError as error:
        return f"error: {error}", 2
    except MemoryError as error:
        return f"error: out of memory ({error or 'no more to be had'}): close other programs, or lower sizes or workers", 2
    except OSError as error:
        if os.environ.get(TRACEBACK):
            raise
        return f"error: {describe_refusal(error)}", 2
    except RuntimeError as error:
        if not str(error).startswith("Symlink loop"):  # by Path.resolve, before Python 3.13
            raise
        return f"error: {error}: {_REMEDIES[errno.ELOOP]}", 2
    except KeyboardInterrupt:
        return _interrupted(signal.SIGINT), 128 + signal.SIGINT
    except SystemExit as end:
        by_signal = isinstance(end.code, int) and end.code > 128
        return _interrupted(signal.Signals(int(end.code or 0) - 128)) if by_signal else "", end.code
    return "", 0


def describe_refusal(error: OSError) -> str:
    """Say in one line what the operating system refused: the files if known, the reason, and what helps if that is known."""
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes | os.PathLike)]
    reason = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "")
    return ": ".join(filter(None, [" -> ".join(names), reason, remedy]))


def _interrupted(number: signal.Signals) -> str:
    return f"interrupted ({number.name}); nothing half-written is left"
