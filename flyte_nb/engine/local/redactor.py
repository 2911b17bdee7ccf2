"""Redactor: takes secret values out of a stream of text, however the stream is cut into pieces."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import NoReturn
from urllib.parse import quote, quote_plus

__all__ = ["MARK", "SHORTEST", "Redactor"]

MARK = "***"
SHORTEST = 4  # a shorter value is part of too much ordinary text


class Redactor:
    """Replaces secret values in a stream by ``***``.

    What is replaced: each value; its base64, also inside a longer text that was encoded, such as a basic
    authorization; its url-quoted and its JSON form; and each line of a value that has several. Values, and lines,
    under 4 characters are **not** replaced: they are part of too much ordinary text. Should a value contain ``*``,
    another mark stands for it, so that a mark never completes a value.

    Only a tail that could be the start of a value is held back; `pending` counts it, and `flush` gives it out. A value
    that was cut by a flush is still replaced from there on.

    Parameters
    ----------
    values : iterable of str
        The values; without any, text passes as it is.
    """

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in set(values) for form in _forms(value) if len(form) >= SHORTEST}
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._mark = _mark("".join(self._forms))
        self._buffer = ""  # what may still become part of a value …
        self._given = 0  # … how much of it is given out already, as it is or as a mark …
        self._marked = 0  # … and how much of that is under a mark

    @property
    def pending(self) -> int:
        """How many characters are held back."""
        return len(self._buffer) - self._given

    def feed(self, text: str) -> str:
        """Take a piece of the stream; give what can be given out of it."""
        if not self._forms:
            return text
        self._buffer += text
        keep = len(self._buffer) - self._unfinished()
        return self._give(keep, keep)

    def flush(self) -> str:
        """Give out what is held back; it is still remembered as the possible start of a value."""
        return self._give(len(self._buffer), 0)

    def close(self) -> str:
        """Give out the rest; the next piece begins a new stream."""
        rest = self.flush()
        self._buffer, self._given, self._marked = "", 0, 0
        return rest

    def redact(self, text: str) -> str:
        """Give a whole text without the values, such as an error's message; the stream is not touched."""
        apart = Redactor(())
        apart._forms, apart._mark = self._forms, self._mark
        return apart.feed(text) + apart.close()

    def _unfinished(self) -> int:
        """Give the length of the longest tail that is the start of a value, but not all of it."""
        longest = 0
        for form in self._forms:
            end = min(len(form) - 1, len(self._buffer))
            while end > longest:
                end = form.rfind(self._buffer[-1], longest, end) + 1
                if end > longest and self._buffer.endswith(form[:end]):
                    longest = end
                end -= 1
        return longest

    def _give(self, upto: int, keep: int) -> str:
        """Give out the buffer up to a place, with marks; what is before ``keep`` is forgotten."""
        given, at, marked = [], self._given, self._marked
        for start, end in self._spans():
            if start >= upto:
                break
            if end > at:
                given.append(self._buffer[at:start])
                given.append("" if start < self._marked else self._mark)
                at = end
            marked = end
        given.append(self._buffer[at:upto])
        at = max(at, upto)
        self._buffer, self._given, self._marked = self._buffer[keep:], max(at - keep, 0), max(marked - keep, 0)
        return "".join(given)

    def _spans(self) -> Iterator[tuple[int, int]]:
        """Give the parts that values cover, in order; values that overlap make one part."""
        found = [(0, self._marked)] if self._marked else []
        for form in self._forms:
            at = self._buffer.find(form)
            while at >= 0:
                found.append((at, at + len(form)))
                at = self._buffer.find(form, at + 1)
        start = end = 0
        for begin, stop in sorted(found):
            if begin >= end and end:
                yield start, end
                start = begin
            start, end = (start, max(end, stop)) if end else (begin, stop)
        if end:
            yield start, end

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Redactor knows secret values: it does not leave its process")


def _mark(forms: str) -> str:
    """Give the mark: of a character that no value has."""
    return MARK if "*" not in forms else next(c for c in map(chr, range(0x2588, 0x10000)) if c not in forms) * 3


def _forms(value: str) -> Iterator[str]:
    """Give the texts by which a value could be printed."""
    lines = [line.strip() for line in value.splitlines()]
    for text in dict.fromkeys([value, value.strip(), *lines]):
        if len(text) < SHORTEST:
            continue
        yield text
        data = text.encode("utf-8", "surrogatepass")
        yield from (quote(data, safe=""), quote(data), quote_plus(data), json.dumps(text)[1:-1], repr(text)[1:-1])
        for encoded in _base64(data):
            yield from (encoded, encoded.replace("+", "-").replace("/", "_"))


def _base64(data: bytes) -> Iterator[str]:
    """Give the base64 of data: alone, with and without padding, and what is constant of it inside a longer text."""
    alone = base64.b64encode(data).decode()
    yield from (alone, alone.rstrip("="))
    for before in range(3):
        bits = 8 * (before + len(data))
        encoded = base64.b64encode(b"\0" * before + data).decode()
        yield encoded[-(-8 * before // 6) : bits // 6]
