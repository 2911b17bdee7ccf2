"""Need: what the process of a call needs around it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

__all__ = ["Need", "import_path"]


@dataclass(frozen=True)
class Need:
    """What process a call needs.

    Parameters
    ----------
    env : dict
        All environment variables of the process.
    python : Path
        Its interpreter.
    sys_path : tuple of str, optional
        Where it finds modules; as this process does by default.
    memory : int, optional
        Bytes at which it is ended, with all that it has started.
    cores : frozenset of int, optional
        The cores that it runs on; any by default.
    processes : int
        How many processes and threads it may have beside those that every task may.
    """

    env: dict[str, str] = field(repr=False)
    python: Path = Path(sys.executable)
    sys_path: tuple[str, ...] | None = None
    memory: int | None = None
    cores: frozenset[int] | None = None
    processes: int = 0

    def at(self, python: Path, sys_path: tuple[str, ...]) -> Need:
        """Give the same with another interpreter."""
        return replace(self, python=python, sys_path=sys_path)


def import_path() -> tuple[str, ...]:
    """Give where this process finds modules, without what Ray adds as it is imported: warm workers fit all the same."""
    return tuple(path for path in sys.path if not path.endswith("thirdparty_files"))
