"""Takes pictures of the product itself, most of them for the docs.

    python -m screenshots playbook    # generated studies of the shape of the playbook's figures
    python -m screenshots tutorial    # one real round on the digits, from `tunebook up` to the report
    python -m screenshots watching    # two hosts at work, one of them lost for a while
    python -m screenshots schedulers  # halving and a population that copies its leaders
    python -m screenshots gallery --folder /tmp/gallery    # every page in every look, to look at

Needs the development install and Chromium. Writes to docs/images, where no folder is named.
"""

import argparse
from pathlib import Path

from screenshots import gallery, playbook, schedulers, tutorial, watching

IMAGES = Path(__file__).parents[1] / "docs/images"
TAKE = {
    "playbook": playbook.take,
    "tutorial": tutorial.take,
    "watching": watching.take,
    "schedulers": schedulers.take,
    "gallery": gallery.take,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m screenshots",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=TAKE)
    parser.add_argument("--folder", type=Path, default=IMAGES, help="default: docs/images")
    arguments = parser.parse_args()
    TAKE[arguments.what](arguments.folder)


if __name__ == "__main__":
    main()
