"""Start the stand-in control plane for a person to look at: ``PYTHONPATH=tests python -m plane FOLDER``.

It says how to connect, then each call as it comes, until it is interrupted.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from plane import Plane

OFTEN = 0.1


def main(folder: Path) -> None:
    with Plane(folder) as plane:
        for name, value in plane.settings(folder / "home").items():
            print(f"export {name}={value}", flush=True)
        told = 0
        while True:
            for line in plane.told().splitlines()[told:]:
                print(line, flush=True)
                told += 1
            time.sleep(OFTEN)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(0)
