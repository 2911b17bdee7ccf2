"""The words of a command in a container: its inputs put in, and where files of them lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flyte_nb.errors import RuntimeUserError
from flyte_nb.io import Dir, File

__all__ = ["is_files", "rendered"]

_INPUT = re.compile(r"\{\{\s*\.inputs\.(\w+)\s*\}\}")


def rendered(words: Sequence[str], inputs: Mapping[str, Any], folder: str) -> list[str]:
    """Put inputs into the words of a command, where ``{{.inputs.x}}`` stands for one.

    Parameters
    ----------
    words : sequence of str
        The command and its arguments.
    inputs : mapping
        The inputs by name.
    folder : str
        Where files among them lie in the container.

    Raises
    ------
    RuntimeUserError
        For an input that does not exist, and for a file, which lies at a path instead.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in inputs:
            known = ", ".join(inputs) or "none"
            raise RuntimeUserError("UnknownInput", f"{found[0]} in the command: no such input; there is {known}")
        if isinstance(inputs[name], File | Dir) or is_files(inputs[name]):
            told = f"{found[0]} in the command: {name} is a file; write its path, {folder}/{name}"
            raise RuntimeUserError("FileInTemplate", told)
        return _text(inputs[name])

    return [_INPUT.sub(value, word) for word in words]


def is_files(value: Any) -> bool:
    """Tell whether a value is a list of files."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, File) for item in value)


def _text(value: Any) -> str:
    """Write a value as a container reads it: ``true`` and ``false``, and all else as Python does."""
    return str(value).lower() if isinstance(value, bool) else str(value)
