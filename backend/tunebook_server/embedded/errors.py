"""Why the embedded default cannot run here: each message says what to do.

CannotRun
 ├─ PostgresFailed   it did not start
 ├─ NotOurs          a folder that must be private belongs to somebody else
 ├─ Held             another `tunebook up` has the data folder
 ├─ UpFailed         the port, or one of our own processes
 └─ BackupFailed     a backup that cannot be made or restored
"""


class CannotRun(RuntimeError):
    """Said to the operator in a line, without a traceback."""


class PostgresFailed(CannotRun):
    """The message says why, or ends with the last lines of the log."""


class NotOurs(CannotRun):
    pass


class Held(CannotRun):
    pass


class UpFailed(CannotRun):
    pass


class BackupFailed(CannotRun):
    pass
