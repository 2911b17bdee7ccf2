"""A notebook in a process of its own, whose Python has the Flyte SDK: cells in, what they print and raise out."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from scripts import ROOT, surroundings
from sdk_process import SDK


@dataclass
class Shown:
    """What a cell printed, and the error that ended it; empty where it succeeded."""

    printed: str
    error: str


class Notebook:
    """A notebook that is connected to a control plane as the SDK finds it, by its configuration file.

    Parameters
    ----------
    folder : Path
        Where the notebook lies, with a home and a store of its own beside it.
    settings : Mapping of str to str
        What `Plane.settings` gave.
    """

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        around = surroundings(folder / "store", **settings)
        self._process = subprocess.Popen(
            [SDK, str(ROOT / "tests" / "sdk_cells.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=around,
        )

    def run(self, source: str, fails: bool = False) -> Shown:
        """Run a cell; insist that it succeeds, or fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(source) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process ended; it says why on the standard error output"
        shown = Shown(**json.loads(line))
        assert bool(shown.error) == fails, shown.error or shown.printed
        return shown

    def value(self, expression: str) -> str:
        """Give the text form of an expression."""
        return self.run(f"print({expression})").printed.strip()

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
