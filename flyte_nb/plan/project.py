"""Project: what the Flyte SDK is to deploy — a module that imports it, and what lies beside that."""

from __future__ import annotations

from typing import NamedTuple

from flyte_nb.environments.base import Environment
from flyte_nb.notebook.module import Module
from flyte_nb.plan.files import Shipped

__all__ = ["DATA", "Project"]

#: the folder beside a module for the Flyte SDK that takes captured values
DATA = "values"


class Project(NamedTuple):
    """What the Flyte SDK is to deploy.

    ``name`` is what it is made of, a notebook or a script; ``module`` holds captured values; ``environments`` are its
    declarations, each after those that it depends on.
    """

    name: str
    source: str
    module: Module
    files: tuple[Shipped, ...]
    environments: tuple[Environment, ...]
