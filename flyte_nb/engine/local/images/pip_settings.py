"""Pip settings: what a user has configured for pip, in uv's words, so that it need not be configured twice."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["as_uv_variables", "pip_settings"]

#: pip's setting: uv's variable, what separates several values there, and uv's other names for it
_COUNTERPARTS = {
    "index-url": ("UV_DEFAULT_INDEX", " ", ("UV_INDEX_URL",)),
    "extra-index-url": ("UV_INDEX", " ", ("UV_EXTRA_INDEX_URL",)),
    "find-links": ("UV_FIND_LINKS", ",", ()),
    "no-index": ("UV_NO_INDEX", "", ()),
    "trusted-host": ("UV_INSECURE_HOST", " ", ()),
    "constraint": ("UV_CONSTRAINT", " ", ()),
    "cert": ("SSL_CERT_FILE", "", ()),
    "client-cert": ("SSL_CLIENT_CERT", "", ()),
    "proxy": ("ALL_PROXY", "", ("HTTPS_PROXY", "https_proxy", "all_proxy")),
    "timeout": ("UV_HTTP_TIMEOUT", "", ()),
    "default-timeout": ("UV_HTTP_TIMEOUT", "", ()),
}  # fmt: skip
_WHERE = ("index-url", "extra-index-url", "find-links", "no-index")
_SECTIONS = ("global", "install", ":env:")  # a later one wins
_LINE = re.compile(r"(global|install|:env:)\.([\w-]+)=(.+)")


def pip_settings() -> dict[str, str]:
    """Give the user's pip configuration as uv's environment variables; what is configured for uv itself stays."""
    try:
        told = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return as_uv_variables(told.stdout, os.environ, configured=_has_own_file(os.environ))


def as_uv_variables(listed: str, environ: Mapping[str, str], configured: bool = False) -> dict[str, str]:
    """Translate the output of ``pip config list``.

    Parameters
    ----------
    listed : str
        The output: ``section.name='value'`` lines, of which a later section wins.
    environ : Mapping
        The process's variables; one of uv's own that is set there is left alone.
    configured : bool
        Whether uv has a configuration file: it says where packages come from, then.
    """
    told = [match.groups() for line in listed.splitlines() if (match := _LINE.fullmatch(line.strip()))]
    told.sort(key=lambda groups: _SECTIONS.index(groups[0]))
    settings = {name: _text(value) for _, name, value in told}
    found: dict[str, str] = {}
    for name, value in settings.items():
        variable, separator, others = _COUNTERPARTS.get(name, ("", "", ()))
        if not variable or any(environ.get(own) for own in (variable, *others)) or (configured and name in _WHERE):
            continue
        found[variable] = separator.join(value.split()) if separator else value
    if "UV_INDEX" in found and not environ.get("UV_INDEX_STRATEGY"):
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip takes the best version of all indexes, uv of the first
    return found


def _text(value: str) -> str:
    try:
        return str(ast.literal_eval(value))
    except (SyntaxError, ValueError):
        return value


def _has_own_file(environ: Mapping[str, str]) -> bool:
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return bool(environ.get("UV_CONFIG_FILE")) or any(
        (folder / "uv" / "uv.toml").is_file() for folder in (home, Path("/etc"))
    )
