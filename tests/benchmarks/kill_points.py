"""Kills deployments at every point and says what is current afterwards. Prints a table.

Run as ``python tests/benchmarks/kill_points.py``. Each kill is a SIGKILL of a real process; afterwards every task of
every environment is called, from its current version. ``a`` and ``b`` depend on each other, ``c`` and ``d`` on
nothing, and ``d`` has a deployer of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from kill_points import at_any_time, at_each_point

TIMES = 20


def main() -> None:
    """Kill and print."""
    with tempfile.TemporaryDirectory() as folder:
        print("| killed when it told | a and b | c | d |\n|---|---|---|---|")
        for point in at_each_point(Path(folder)):
            print(f"| {point.phase} | {point.group} | {point.alone} | {point.custom} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = at_any_time(Path(folder), TIMES)
        print(f"\nKilled {TIMES} times at any moment: whole each time, at {found} different versions.")


if __name__ == "__main__":
    main()
