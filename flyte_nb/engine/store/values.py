"""Values: the inputs and outputs of runs, and what failed them, as bytes."""

from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path

from flyte_nb.engine.store.batches import Statement
from flyte_nb.engine.store.file import File
from flyte_nb.engine.store.home import is_plain
from flyte_nb.engine.store.vault import Packed, Parts, Vault
from flyte_nb.errors import UsageError

__all__ = ["Values", "remove_values"]

logger = logging.getLogger("flyte")

KINDS = ("inputs", "outputs", "error")
_FOLDER = ".values"  # in data/<run>, apart from what tasks keep there
_PUT = Statement("INSERT OR REPLACE INTO data VALUES (?,?,?,?,?,?,?)")


class Values(File):
    """The part of a store that keeps values."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._vault = Vault(home)
        self._is_refusal_told = False

    def put_value(self, run: str, action: str, kind: str, parts: Parts) -> None:
        """Keep the inputs or the outputs of an action, or what failed it.

        What is over 64 KiB is signed and written before this returns (threads may call it); less is written soon.
        Where there is no room for it, the value is not kept, and the next ``flush`` tells.

        Parameters
        ----------
        run, action : str
            Whose.
        kind : str
            ``"inputs"``, ``"outputs"`` or ``"error"``.
        parts : iterable of bytes-like
            The value.
        """
        if kind not in KINDS:
            raise UsageError(f"kind: given {kind!r}; accepted: {', '.join(map(repr, KINDS))}")
        if not is_plain(run):
            raise UsageError(f"run: given {run!r}; accepted: a name without '/' that starts with no '.'")
        try:
            packed = self._vault.pack(_folder(self.home, run), _name(run, action, kind), parts)
        except OSError as error:
            self._batches.lose(error)
            return
        self._put(_PUT, (run, action, kind, *packed), len(packed.content))

    def value(self, run: str, action: str, kind: str) -> tuple[bytes, ...] | None:
        """Give back what `put_value` kept; None where there is none, or none that can be trusted."""
        query = "SELECT * FROM data WHERE run = ? AND action = ? AND kind = ?"
        for row in self._rows(query, (run, action, kind)):
            packed = Packed(row["sizes"], row["file"], row["tag"], row["content"])
            if self._is_trusted():
                return self._vault.unpack(_folder(self.home, run), _name(run, action, kind), packed)
        return None

    def _is_trusted(self) -> bool:
        """Tell whether nobody else can have written the values; say once why not."""
        why = self._vault.refusal()
        if why and not self._is_refusal_told:
            self._is_refusal_told = True
            logger.warning("kept values and cached results are not used: %s", why)
        return not why

    def _on_open(self) -> None:
        super()._on_open()
        self._vault.forget_key()


def remove_values(home: Path, run: str) -> None:
    """Remove the values of a run that are in files."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(_folder(home, run))


def _folder(home: Path, run: str) -> Path:
    return home / "data" / run / _FOLDER


def _name(run: str, action: str, kind: str) -> str:
    return f"value {run} {action} {kind}"
