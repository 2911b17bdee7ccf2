"""The store: where it is, how large, of which version, and whether it can be read and written."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flyte_nb.doctor.finding import Finding, Patient, notice, ok, problem
from flyte_nb.engine.store.damage import is_damaged, probe
from flyte_nb.engine.store.home import FILE, opened_to_others
from flyte_nb.engine.store.schema import VERSION
from flyte_nb.views import told_size

__all__ = ["look"]

_PATIENCE = 2.0  # seconds for a lock that another process holds
_LITTLE, _TOO_LITTLE = 1 << 30, 16 << 20  # bytes of the disk that are free
_ELSEWHERE = "set FLYTE_NB_HOME to a folder that you may write to"


def look(patient: Patient) -> Iterator[Finding]:
    """Look at the folder and the file of the store, without changing either."""
    home = patient.home
    yield from _place(home)
    if (home / FILE).exists():
        yield _file(home / FILE)
    yield from _disk(home)
    damaged = sorted(path.name for path in home.glob(f"{FILE}.damaged-*") if not path.name.endswith(("-wal", "-shm")))
    if damaged:
        found = f"{len(damaged)} set aside: {', '.join(damaged[:3])}{', …' if len(damaged) > 3 else ''}"
        yield notice("damaged stores", found, f"look what you need of them, then delete them; they lie in {home}")


def _place(home: Path) -> Iterator[Finding]:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield problem("store", f"{home} cannot be written: {error.strerror}", _ELSEWHERE)
        return
    if there != home:
        yield ok("store", f"{home}: not there yet; made by the first run or deployment")
        return
    others = opened_to_others(home)
    told = f"{home}, {told_size(_size(home))}, can be written"
    yield notice("store", f"{told}; others can reach it", others) if others else ok("store", told)


def _size(folder: Path) -> int:
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # removed meanwhile
                total += os.lstat(os.path.join(at, name)).st_size
    return total


def _file(path: Path) -> Finding:
    """Open the file as a run would, but for the tables: no upgrade is made, and nothing is written."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path.as_posix()}?mode=rw", timeout=_PATIENCE, uri=True)) as db:
            probe(db)
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            db.execute("BEGIN IMMEDIATE").execute("ROLLBACK")
    except sqlite3.Error as error:
        if is_damaged(error):
            return notice("store file", f"{path.name} is damaged ({error})", "it is set aside when it is next used; "
                          "a new one is begun")  # fmt: skip
        if "locked" in str(error):
            return notice("store file", f"another process has been writing for {_PATIENCE:g} s", "wait, or end it")
        return problem("store file", f"{path.name} cannot be used: {error}", _ELSEWHERE)
    if version > VERSION:
        return problem("store file", f"version {version}, newer than this flyte_nb knows ({VERSION})",
                       f"update flyte_nb, or {_ELSEWHERE}")  # fmt: skip
    upgrade = "" if version == VERSION else f"; brought to version {VERSION} when it is next used"
    return ok("store file", f"version {version}, can be read and written{upgrade}")


def _disk(home: Path) -> Iterator[Finding]:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free < _TOO_LITTLE:
        yield problem("disk", f"{told_size(free)} free at {there}", f"make room, or {_ELSEWHERE}")
    elif free < _LITTLE:
        yield notice("disk", f"{told_size(free)} free at {there}", "make room: bundles and kept outputs need it")
    else:
        yield ok("disk", f"{told_size(free)} free at {there}")
