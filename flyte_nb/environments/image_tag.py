"""Image tag: a short name for what an image contains, from its declaration and the bytes of its files."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["digests", "file_digest", "loaded_files", "tag_of"]

_BLOCK = 1 << 20  # bytes


def tag_of(content: Any) -> str:
    """Give the MD5 of JSON data, in hex: equal data gives equal tags, on every machine."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def digests(files: Iterable[tuple[str, Path]]) -> dict[str, str]:
    """Give the digest of each file by its name."""
    return {name: file_digest(path) for name, path in files}


def file_digest(path: Path) -> str:
    """Give the SHA-256 of a file's bytes; a link that leads nowhere counts by its target."""
    if path.is_symlink() and not path.is_file():
        return f"link to {os.readlink(path)}"
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()


def loaded_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Give the files below ``root`` of the modules that this process has imported, without installed ones."""
    root = Path(os.path.abspath(root))
    loaded = {getattr(module, "__dict__", {}).get("__file__") for module in list(sys.modules.values())}
    for name in sorted(file for file in loaded if isinstance(file, str)):
        path = Path(os.path.abspath(name))
        if path.is_relative_to(root) and "site-packages" not in path.parts and path.is_file():
            yield path.relative_to(root).as_posix(), path
