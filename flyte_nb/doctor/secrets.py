"""Secrets: which sources there are; names only, and never a value."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from flyte_nb.doctor.finding import Finding, Patient, ok

__all__ = ["look"]


def look(patient: Patient) -> Iterator[Finding]:
    """Look at the sources in their order."""
    names = patient.secrets.names()
    sources = [f"this session ({len(names)} set)", "the environment"]
    sources += [str(path) for path in patient.secrets.files() if path.is_file()]
    sources += [f"the system keyring ({_keyring()})"] if find_spec("keyring") else []
    yield ok("secrets", f"looked for in {', '.join(sources)}")


def _keyring() -> str:
    import keyring

    backend = keyring.get_keyring()
    return "none usable here" if backend.priority < 1 else type(backend).__module__.rpartition(".")[2]
