"""The command with which an app starts in its container."""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from typing import Any

from flyte_nb.environments.base import Environment
from flyte_nb.environments.container_words import bundle_words, image_cache_words, of_context

__all__ = ["default_command", "load_app", "words"]

_RAW_DATA_PATH = "{{.rawOutputDataPrefix}}"  # Flyte fills it in when the app starts
_RESOLVER = f"{__name__}.load_app"


def words(command: list[str] | str | None) -> list[str]:
    """Give a command as a list of words; text is split as a shell does."""
    if command is None:
        return []
    return shlex.split(command) if isinstance(command, str) else list(command)


def default_command(app: Environment, sctx: Any, parameters: str) -> list[str]:
    """Give the command of an app that declares none: Flyte's own server, told what to serve.

    Parameters
    ----------
    app : Environment
        The app.
    sctx : object
        The context of the deployment: ``project``, ``domain``, ``org``, ``version``, ``image_cache`` and
        ``code_bundle``, each of which may be None or missing.
    parameters : str
        The app's parameters, serialised; empty when there are none.
    """
    bundle = of_context(sctx, "code_bundle")
    version = of_context(sctx, "version") or of_context(bundle, "computed_version")
    command = ["fserve", "--version", version or ""]
    for name in ("project", "domain", "org"):
        command += [f"--{name}", of_context(sctx, name) or ""]
    command += [*image_cache_words(sctx), *bundle_words(bundle)]
    if parameters:
        command += ["--parameters", parameters]
    return [*command, "--raw-data-path", _RAW_DATA_PATH, *_resolver(app), "--"]


def _resolver(app: Environment) -> list[str]:
    """Word how the container finds the app again; an app that is no module's variable travels otherwise."""
    reference = reference_of(app)
    return ["--resolver", _RESOLVER, "--resolver-args", reference] if reference else []


def reference_of(app: Environment) -> str | None:
    """Give ``module:variable`` for an app that is a variable of the module that declares it, else None."""
    for name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", {})
        file = names.get("__file__")
        if file is None or os.path.abspath(file) != app.place.file:
            continue
        variable = next((key for key, value in list(names.items()) if value is app), None)
        if variable is not None:
            stem = os.path.splitext(os.path.basename(file))[0]
            return f"{stem if name == '__main__' else name}:{variable}"
    return None


def load_app(reference: str) -> Any:
    """Give the app that ``module:variable`` names; the module is imported."""
    module, _, variable = reference.partition(":")
    return getattr(importlib.import_module(module), variable)
