"""Logs: which part of what a run printed came from which action."""

from __future__ import annotations

from dataclasses import dataclass

from flyte_nb.engine.store.batches import Statement
from flyte_nb.engine.store.file import File

__all__ = ["LogPart", "Logs"]

_PART = Statement("INSERT INTO log_parts (run, action, stream, start, length) VALUES (?,?,?,?,?)")


@dataclass(frozen=True)
class LogPart:
    """A part of a run's log.

    Parameters
    ----------
    action : str
        The action that printed it.
    stream : str
        ``"stdout"`` or ``"stderr"``.
    offset, length : int
        Where it is in the file, in bytes.
    """

    action: str
    stream: str
    offset: int
    length: int


class Logs(File):
    """The part of a store that knows the logs; the text itself is in the file that `log_of` gives."""

    def put_log(self, run: str, action: str, stream: str, offset: int, length: int) -> None:
        """Record that an action printed a part of its run's log."""
        self._put(_PART, (run, action, stream, offset, length))

    def log_parts(self, run: str, action: str | None = None, last: int = -1) -> list[LogPart]:
        """Give the parts of a run's log in the order they were printed, or those of one action.

        Parameters
        ----------
        run : str
            The run.
        action : str, optional
            Only those of one action.
        last : int
            How many pieces are looked at, the newest; all of them by default.
        """
        query = "SELECT * FROM log_parts WHERE run = ? AND (? IS NULL OR action = ?) ORDER BY id DESC LIMIT ?"
        parts: list[LogPart] = []
        for row in reversed(self._rows(query, (run, action, action, last))):
            part = LogPart(row["action"], row["stream"], row["start"], row["length"])
            before = parts[-1] if parts else None
            if (
                before is not None
                and (before.action, before.stream) == (part.action, part.stream)
                and (before.offset + before.length == part.offset)
            ):
                parts[-1] = LogPart(part.action, part.stream, before.offset, before.length + part.length)
            else:
                parts.append(part)
        return parts
