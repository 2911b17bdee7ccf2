"""Which versions are installed, of what flyte_nb runs in and with."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from flyte_nb.doctor.finding import Finding, Patient, notice, ok, problem
from flyte_nb.engine.cluster.sdk import TESTED

__all__ = ["look", "sdk_found"]

_NEEDED = {"flyte_nb": "flyte_nb", "IPython": "ipython", "ipykernel": "ipykernel", "pydantic": "pydantic"}
_OPTIONAL = {"JupyterLab": "jupyterlab", "Notebook": "notebook"}
_UNNEEDED = "not installed in this environment; not needed to run tasks here"
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
        yield ok(name, _version(package) or _UNNEEDED)
    yield sdk_found(_version("flyte"))


def sdk_found(found: str) -> Finding:
    """Say whether the Flyte SDK is installed, in a version that the tests translate every declaration for.

    Parameters
    ----------
    found : str
        The version; empty where it is not installed.
    """
    tested = ", ".join(TESTED)
    if not found:
        return ok("Flyte SDK", f"{_UNNEEDED}; engine=\"cluster\" needs it: pip install 'flyte_nb[cluster]'")
    if found in TESTED:
        return ok("Flyte SDK", f"{found}, one of the tested versions ({tested})")
    told = f"{found}; tested are {tested}"
    if _numbers(found) < _numbers(TESTED[0]):
        return notice("Flyte SDK", told, "install a newer one for engine=\"cluster\": pip install 'flyte_nb[cluster]'")
    if _numbers(found) > _numbers(TESTED[-1]):
        return notice("Flyte SDK", told, f'with engine="cluster", take {TESTED[-1]} where this one does not do')
    return ok("Flyte SDK", f"{told}, and those between are expected to work")


def _numbers(found: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", found)[:3]]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
