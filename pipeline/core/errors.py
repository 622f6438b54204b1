"""The one exception that is meant for a person."""


class UserError(Exception):
    """Something the user can mend. The message says what is wrong, where (file or key), and what to do about it.

    Stages and the command line print it as one line without a traceback and exit with status 2; every other exception
    is a bug of ours and shows its traceback.
    """
