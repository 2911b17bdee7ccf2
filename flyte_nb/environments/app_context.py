"""AppContext: what the code of an app can ask about where it runs."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["AppContext", "ctx"]


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
