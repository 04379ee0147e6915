"""Signals as something to wait for: asked to stop, or a child ended."""

import select
import signal
import socket
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wakeups:
    """Belongs to the main thread, the only one that receives signals."""

    def __init__(self) -> None:
        self.stops_asked = 0
        self._read, self._write = socket.socketpair()
        for end in (self._read, self._write):
            end.setblocking(False)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, self._stop)
        # A handler of Python's own, though it does nothing: without one no byte is written.
        signal.signal(signal.SIGCHLD, lambda *_: None)

    @property
    def stopping(self) -> bool:
        return self.stops_asked > 0

    def wait(self, seconds: float) -> None:
        """Until a signal arrives, at most `seconds`."""
        if select.select([self._read], [], [], seconds)[0]:
            self._read.recv(4096)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stops_asked += 1
