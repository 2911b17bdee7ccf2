"""A process of a Python that has the Flyte SDK, for tests that ask it many things; and whether there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from scripts import surroundings

#: a Python that has the Flyte SDK and what this package needs; this one by default
SDK = os.environ.get("FLYTE_PYTHON", sys.executable)
WHY = "the Flyte SDK is not installed; FLYTE_PYTHON names a Python that has it and what flyte_nb needs"


@lru_cache(maxsize=4)
def has_sdk(*needed: str) -> bool:
    """Tell whether there is a Python with the Flyte SDK; nothing is imported, since every test process asks.

    Parameters
    ----------
    *needed : str
        What else that Python shall have; by default, what it takes to use this package there.
    """
    names = ("flyte", *(needed or ("fastapi", "IPython", "kubernetes", "pydantic", "psutil")))
    code = f"from importlib.util import find_spec; raise SystemExit(not all(map(find_spec, {names!r})))"
    return subprocess.run([SDK, "-c", code], capture_output=True).returncode == 0


class SdkProcess:
    """Answers the functions of ``sdk_side.py``."""

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen(
            [SDK, str(Path(__file__).with_name("sdk_side.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=surroundings(home),
        )

    def ask(self, name: str, *given: Any) -> Any:
        """Call a function there and give what it returned."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, *given]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process ended; it says why on the standard error output"
        return json.loads(line)

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
