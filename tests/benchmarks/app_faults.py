"""Provokes each fault of a served app and says what becomes of it: ``python tests/benchmarks/app_faults.py [NAME]``.

Every fault is provoked in a real kernel, with ``flyte.serve``, real processes and real requests; words choose those
whose names have one of them. The seconds are until the fault is told, or until all is well again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from app_faults import FAULTS, Outcome, at_stage, kernel_killed, suspended


def shown(outcome: Outcome) -> None:
    cells = (text.replace("|", "\\|") for text in outcome[:3])
    print(f"| {' | '.join(cells)} | {outcome.seconds:.1f} |", flush=True)


def main() -> None:
    """Provoke and print."""
    words = sys.argv[1:] or [""]

    def is_asked(name: str) -> bool:
        return any(word in name for word in words)

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("stage", "killed", "asleep"):
            (folder / name).mkdir()
        print("| fault | what is seen | what survives | s |\n|---|---|---|---|")
        for outcome in at_stage(folder / "stage", [each for each in FAULTS if is_asked(each.__name__)]):
            shown(outcome)
        if is_asked("kernel_killed"):
            shown(kernel_killed(folder / "killed"))
        if is_asked("suspended"):
            shown(suspended(folder / "asleep"))
    print(f"\nIt took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
