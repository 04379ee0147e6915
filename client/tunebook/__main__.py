"""`python -m tunebook` is the command `tunebook`."""

import sys

from tunebook.cli import main

sys.exit(main())
