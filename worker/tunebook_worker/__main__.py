"""`python -m tunebook_worker`: the command `tunebook worker`."""

import sys

from tunebook_worker.commands import worker

if __name__ == "__main__":
    sys.exit(worker(sys.argv[1:]))
