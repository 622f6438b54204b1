"""What users see: errors that they can correct, and the log."""

import logging

log = logging.getLogger("genga")
"""Progress and warnings, on standard error."""


class UserError(Exception):
    """An error that the user can fix. The message says what is wrong, where (file or key), and what to do about it.

    Stages and the command line print it as one line without a traceback and exit with status 2. Any other exception is a bug
    and shows its traceback.
    """
