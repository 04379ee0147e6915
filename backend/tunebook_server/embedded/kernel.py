"""What ends a child when its parent is killed: the kernel's signal, and a pipe that closes."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h; Linux keeps the setting over exec and over `unshare --user`

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

# Reads "+SIGNAL:GROUP" and "-SIGNAL:GROUP"; at the end of its input it signals the groups still listed.
_WATCH = """
list=" "
while read -r line; do
  word=${line#?}
  case $line in
    +*) list="$list$word " ;;
    -*) list="${list%% $word *} ${list#* $word }" ;;
  esac
done
for word in $list; do kill -s "${word%%:*}" -- "-${word#*:}" 2>/dev/null; done
"""


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A preexec_fn. The kernel watches the *thread* that starts the child: start it from the main thread."""
    parent = os.getpid()

    def bind() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:  # it died before the kernel was told
                os._exit(1)

    return bind


class Lifeline:
    """A small shell that outlives us by a moment: when our end of its pipe closes, it kills the registered.

    The second guard, and the only one outside Linux.
    """

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH], stdin=subprocess.PIPE, start_new_session=True, bufsize=0
        )

    def guard(self, group: int, death_signal: signal.Signals) -> None:
        self._say(f"+{death_signal.name.removeprefix('SIG')}:{group}\n")

    def release(self, group: int, death_signal: signal.Signals) -> None:
        self._say(f"-{death_signal.name.removeprefix('SIG')}:{group}\n")

    def close(self) -> None:
        """Nothing may be registered any more, or it is killed now."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode())
        except BrokenPipeError:  # the watcher was killed; the kernel's signal still stands
            return
