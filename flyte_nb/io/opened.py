"""Opened: an open file for async code, whose results may be awaited — and need not be.

The Flyte SDK's open files are awaited where the storage is remote and are plain ones where it is local; code written
for either works with this one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["Opened"]

T = TypeVar("T")


async def _at_once(value: T) -> T:
    return value


class _Bytes(bytes):
    def __await__(self) -> Generator[Any, None, bytes]:
        return _at_once(bytes(self)).__await__()


class _Text(str):
    def __await__(self) -> Generator[Any, None, str]:
        return _at_once(str(self)).__await__()


class _Count(int):
    def __await__(self) -> Generator[Any, None, int]:
        return _at_once(int(self)).__await__()


_AWAITABLE = {bytes: _Bytes, str: _Text, int: _Count}


class Opened:
    """An open file: ``data = await f.read()`` and ``data = f.read()`` are the same.

    Parameters
    ----------
    file : file object
        The plain open file; whatever else is asked for comes from it.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> Any:
        """Read up to ``size`` bytes or characters; all of it by default."""
        return _awaitable(self._file.read(size))

    def readline(self, size: int = -1) -> Any:
        """Read one line."""
        return _awaitable(self._file.readline(size))

    def write(self, data: Any) -> Any:
        """Write, and give how much was written."""
        return _awaitable(self._file.write(data))

    def seek(self, offset: int, whence: int = 0) -> Any:
        """Go to a position, and give it."""
        return _awaitable(self._file.seek(offset, whence))

    def tell(self) -> Any:
        """Give the position."""
        return _awaitable(self._file.tell())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    async def __aiter__(self) -> Any:
        for line in self._file:
            yield line

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


def _awaitable(value: Any) -> Any:
    return _AWAITABLE[type(value)](value) if type(value) in _AWAITABLE else value
