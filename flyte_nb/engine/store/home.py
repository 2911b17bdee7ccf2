"""The folder of a store: where it is, what is in it, and whether others could have written there."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

__all__ = ["FILE", "FOLDER", "home_for", "is_plain", "opened_to_others", "prepare"]

FOLDER = ".flyte_nb"
FILE = "store.db"
_PLAIN = re.compile(r"[^./\\\0][^/\\\0]*")
_FOLDERS = ("", "modules", "bundles", "logs", "data", "cache")


def home_for(folder: Path) -> Path:
    """Give the folder of the store for work done in ``folder``.

    ``FLYTE_NB_HOME`` states it; else it is in the nearest folder upward that has a store, a ``pyproject.toml`` or a
    ``.git``; else in ``folder`` itself.
    """
    if stated := os.environ.get("FLYTE_NB_HOME"):
        return Path(stated).expanduser().absolute()
    upward = [folder.absolute(), *folder.absolute().parents]
    marked = (p for p in upward if any((p / mark).exists() for mark in (FOLDER, "pyproject.toml", ".git")))
    return next(marked, upward[0]) / FOLDER


def prepare(home: Path) -> None:
    """Make the folder and those in it, private to the user and out of git."""
    for name in _FOLDERS:
        (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = home / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def is_plain(name: str) -> bool:
    """Tell whether a name is that of a file in a folder, and leads to no other folder."""
    return _PLAIN.fullmatch(name) is not None


def opened_to_others(*paths: Path) -> str:
    """Say which of some files or folders another user owns or can write to, and what to do; empty when none."""
    for path in paths:
        known = path.stat()
        if known.st_uid != os.geteuid():
            return f"{path} is owned by another user (uid {known.st_uid}); set FLYTE_NB_HOME to a folder of your own"
        if stat.S_IMODE(known.st_mode) & 0o022:
            return f"other users may write to {path}; run: chmod go-w {path}"
    return ""
