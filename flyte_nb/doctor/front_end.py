"""Who shows the output: JupyterLab, VS Code, Colab, a terminal, or nobody; and how that is known."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from flyte_nb.doctor.finding import Finding, Patient, ok
from flyte_nb.notebook.location import VARIABLE

__all__ = ["look"]


def look(patient: Patient) -> Iterator[Finding]:
    """Look for the traces that front ends leave in a kernel."""
    yield ok("front end", _named(patient))


def _named(patient: Patient) -> str:
    if patient.shell is None:
        return "none: this is no IPython shell"
    if notebook := os.environ.get(VARIABLE):
        return f"none: a headless run of {notebook} ({VARIABLE} says so)"
    if "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ:
        return "Colab (its package google.colab is loaded)"
    if "__vsc_ipynb_file__" in patient.shell.user_ns:
        return "VS Code (it left the notebook's path in __vsc_ipynb_file__)"
    if "JPY_SESSION_NAME" in os.environ:
        return "JupyterLab or Jupyter Notebook (its server set JPY_SESSION_NAME)"
    if hasattr(patient.shell, "kernel"):
        return "a Jupyter client that does not say its name (this is a kernel)"
    return f"a terminal (the shell is {type(patient.shell).__name__})"
