"""Which versions are installed, of what flyte_nb runs in and with."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from flyte_nb.doctor.finding import Finding, Patient, notice, ok, problem

__all__ = ["look"]

_NEEDED = {"flyte_nb": "flyte_nb", "IPython": "ipython", "ipykernel": "ipykernel", "pydantic": "pydantic"}
_OPTIONAL = {"JupyterLab": "jupyterlab", "Notebook": "notebook", "Flyte SDK": "flyte"}
_LEAST = (3, 10)


def look(patient: Patient) -> Iterator[Finding]:
    """Look at Python and the packages."""
    python = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info >= _LEAST:
        yield ok("Python", python)
    else:
        yield problem("Python", python, "use Python 3.10 or newer")
    for name, package in _NEEDED.items():
        found = _version(package)
        if found:
            yield ok(name, found)
        else:
            yield notice(name, "no package of that name is installed here", f"pip install {package}")
    for name, package in _OPTIONAL.items():
        yield ok(name, _version(package) or "not installed in this environment; not needed to run tasks here")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
