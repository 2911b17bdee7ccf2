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

    def log_parts(self, run: str, action: str | None = None) -> list[LogPart]:
        """Give the parts of a run's log in the order they were printed, or those of one action."""
        query = "SELECT * FROM log_parts WHERE run = ? AND (? IS NULL OR action = ?) ORDER BY id"
        parts: list[LogPart] = []
        for row in self._rows(query, (run, action, action)):
            part = LogPart(row["action"], row["stream"], row["start"], row["length"])
            last = parts[-1] if parts else None
            if (
                last is not None
                and (last.action, last.stream) == (part.action, part.stream)
                and (last.offset + last.length == part.offset)
            ):
                parts[-1] = LogPart(part.action, part.stream, last.offset, last.length + part.length)
            else:
                parts.append(part)
        return parts
