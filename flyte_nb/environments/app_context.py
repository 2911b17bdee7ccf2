"""AppContext: what the code of an app can ask about where it runs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

__all__ = ["APPS_VARIABLE", "AppContext", "ctx", "served_at"]

#: the environment variable that names the folder where each app that is served here has a file, named after it
APPS_VARIABLE = "FLYTE_NB_APPS"


@dataclass(frozen=True)
class AppContext:
    """Where the code of an app runs.

    Parameters
    ----------
    mode : str
        ``"local"`` when the app is served on this machine, else ``"remote"``.
    project, domain : str
        What the app was deployed to; empty when it was not.
    raw_data_path : str
        Where files of the app may be kept; empty when nothing was set.
    """

    mode: str
    project: str
    domain: str
    raw_data_path: str = ""


def ctx() -> AppContext:
    """Give the context of the running app, from the environment variables that serving it sets."""
    return AppContext(
        mode=os.environ.get("_RUN_MODE", "remote"),
        project=os.environ.get("FLYTE_INTERNAL_EXECUTION_PROJECT", ""),
        domain=os.environ.get("FLYTE_INTERNAL_EXECUTION_DOMAIN", ""),
        raw_data_path=os.environ.get("RAW_DATA_PATH", ""),
    )


def served_at(name: str) -> str | None:
    """Give the address of an app that is served on this machine, to its own kernel and what that started; else None."""
    folder = os.environ.get(APPS_VARIABLE)
    if not folder:
        return None
    try:
        with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as file:
            return str(json.load(file)["url"])
    except (OSError, ValueError, KeyError):
        return None
