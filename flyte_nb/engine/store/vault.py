"""Vault: values as bytes, in the table when small, in a file of their own when large, signed in both cases.

The values are pickles, and reading a pickle runs what is in it. So each is stored with a tag that only who has the
key of this store can make, and none is given back whose tag is wrong, or from a folder that others can write to.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from flyte_nb.engine.store.home import FILE, opened_to_others

__all__ = ["Packed", "Parts", "Vault"]

INLINE = 64 << 10  # bytes up to which a value is kept in the table
_KEY_SIZE = 32

Parts = Iterable["bytes | bytearray | memoryview"]


class Packed(NamedTuple):
    """A value as the table has it."""

    sizes: str
    file: str
    tag: bytes
    content: bytes


class Vault:
    """Packs and unpacks the values of one store.

    Parameters
    ----------
    home : Path
        The folder of the store; the key is ``cache/key`` in it, so that it moves with it.
    """

    def __init__(self, home: Path) -> None:
        self._key_path = home / "cache" / "key"
        self._guarded = (home, home / FILE, home / "cache", self._key_path)
        self._key = b""

    def forget_key(self) -> None:
        """Read the key again when it is next needed: the folder may be another."""
        self._key = b""

    def pack(self, folder: Path, name: str, parts: Parts) -> Packed:
        """Sign a value and, when it is large, write it into ``folder``; its file is named by what is in it.

        Parameters
        ----------
        folder : Path
            Takes the file.
        name : str
            What the value is, which its tag covers: it can not pass for another.
        parts : iterable of bytes-like
            The value.

        Raises
        ------
        OSError
            When the file, or the key, cannot be written.
        """
        views = [_flat(part) for part in parts]
        sizes = json.dumps([len(view) for view in views])
        tag = self._tag(self._own_key(), name, sizes, views)
        if sum(map(len, views)) <= INLINE:
            return Packed(sizes, "", tag, b"".join(views))
        file = tag.hex()[:32]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(folder / file, views)
        return Packed(sizes, file, tag, b"")

    def unpack(self, folder: Path, name: str, packed: Packed) -> tuple[bytes, ...] | None:
        """Give a value back, or None where it is not there as it was written."""
        with contextlib.suppress(OSError, ValueError, TypeError):  # whatever is there instead, it is not the value
            sizes = [int(size) for size in json.loads(packed.sizes)]
            parts = _read(folder / packed.file, sizes) if packed.file else _split(packed.content, sizes)
            if hmac.compare_digest(self._tag(self._own_key(), name, packed.sizes, parts), packed.tag):
                return parts
        return None

    def refusal(self) -> str:
        """Say why values of this store are not to be trusted, and what to do; empty when they are."""
        with contextlib.suppress(FileNotFoundError):
            if told := opened_to_others(*self._guarded):
                return told
            if stat.S_IMODE(self._key_path.stat().st_mode) & 0o077:
                return f"other users may read {self._key_path}; remove it, and a new one is made"
        return ""

    def _own_key(self) -> bytes:
        if not self._key:
            self._key = _key_of(self._key_path)
        return self._key

    def _tag(self, key: bytes, name: str, sizes: str, parts: Sequence[bytes | memoryview]) -> bytes:
        tag = hashlib.blake2b(json.dumps([name, sizes]).encode(), key=key, digest_size=_KEY_SIZE)
        for part in parts:
            tag.update(part)
        return tag.digest()


def _key_of(path: Path) -> bytes:
    """Read the key, or make one: written whole, then given its name, which only one process can do."""
    with contextlib.suppress(FileNotFoundError):
        return _checked(path.read_bytes())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".key.")  # it is readable by its owner only
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(secrets.token_bytes(_KEY_SIZE))
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was first
        except OSError:
            os.replace(temporary, path)  # a file system without hard links
    finally:
        Path(temporary).unlink(missing_ok=True)
    return _checked(path.read_bytes())


def _checked(key: bytes) -> bytes:
    if len(key) != _KEY_SIZE:
        raise OSError(f"the key of the store has {len(key)} bytes, not {_KEY_SIZE}; remove cache/key to have a new one")
    return key


def _flat(part: bytes | bytearray | memoryview) -> memoryview:
    view = memoryview(part)
    return view.cast("B") if view.nbytes else memoryview(b"")


def _split(content: bytes, sizes: list[int]) -> tuple[bytes, ...]:
    if sum(sizes) != len(content):
        raise ValueError("cut short")
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    return tuple(content[end - size : end] for size, end in zip(sizes, ends, strict=True))


def _read(path: Path, sizes: list[int]) -> tuple[bytes, ...]:
    with path.open("rb") as file:
        return tuple(file.read(size) for size in sizes)


def _write(path: Path, parts: Iterable[memoryview]) -> None:
    """Write a file in one step: beside it first, then renamed over it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part.")
    try:
        with os.fdopen(handle, "wb") as out:
            for part in parts:
                out.write(part)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
