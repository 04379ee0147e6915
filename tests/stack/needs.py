"""What these tests need of the machine. CI has all of it; elsewhere they say what they wait for."""

import os
import shutil

import pytest

from stack import programs

_missing = programs.missing()
_has_spaces = os.geteuid() == 0 and shutil.which("ip", path=programs.search_path()) is not None

stack = pytest.mark.skipif(
    bool(_missing), reason=f"not installed: {', '.join(_missing)} (apt-get install haproxy redis-server)"
)
haproxy = pytest.mark.skipif("haproxy" in _missing, reason="haproxy is not installed")
namespaces = pytest.mark.skipif(
    bool(_missing) or not _has_spaces,
    reason="needs root, iproute2, haproxy and redis-server",
)
