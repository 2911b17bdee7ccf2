"""What an examination finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from flyte_nb.engine.local.secrets import Secrets

__all__ = ["Finding", "Patient", "State", "is_well", "notice", "ok", "problem", "rows_of"]


class State(str, Enum):
    """How it stands with one thing."""

    OK = "ok"
    #: worth knowing; tasks run all the same
    NOTICE = "notice"
    #: keeps tasks from running
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    what : str
        The thing, in a word or two.
    state : State
        How it stands with it.
    found : str
        What was found.
    advice : str
        What to do; may be empty.
    """

    what: str
    state: State
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Patient:
    """What is examined.

    Parameters
    ----------
    shell : InteractiveShell or None
        The shell that asks; None outside IPython.
    home : Path
        The folder of the store.
    secrets : Secrets
        Where the values of secrets come from.
    """

    shell: Any
    home: Path
    secrets: Secrets


def ok(what: str, found: str, advice: str = "") -> Finding:
    """Find nothing wrong."""
    return Finding(what, State.OK, found, advice)


def notice(what: str, found: str, advice: str = "") -> Finding:
    """Find something that is worth knowing; tasks run all the same."""
    return Finding(what, State.NOTICE, found, advice)


def problem(what: str, found: str, advice: str = "") -> Finding:
    """Find what keeps tasks from running."""
    return Finding(what, State.PROBLEM, found, advice)


def is_well(findings: list[Finding]) -> bool:
    """Tell whether nothing keeps tasks from running."""
    return all(finding.state is not State.PROBLEM for finding in findings)


def rows_of(findings: list[Finding]) -> list[dict[str, str]]:
    """Give findings as JSON data."""
    return [{**asdict(finding), "state": finding.state.value} for finding in findings]
