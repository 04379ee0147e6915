"""The clock of leases on this host."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    """Seconds since boot, the same in every process; goes on while the machine sleeps, as a lease does."""
    return time.clock_gettime(_CLOCK)
