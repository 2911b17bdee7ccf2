"""Cell connectors: the connectors that a notebook's cells define and register, for the module that a server imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flyte_nb.connectors.connector import AsyncConnector, ConnectorRegistry
from flyte_nb.engine.definition import MAIN
from flyte_nb.errors import SliceError
from flyte_nb.workbook import Workbook

__all__ = ["CellConnectors", "cell_connectors"]


@dataclass(frozen=True)
class CellConnectors:
    """What a module needs to register the connectors of cells.

    Parameters
    ----------
    names : tuple of str
        The names that it must define.
    lines : tuple of str
        What registers them, at its end; statements of cells that did may be among the definitions, too.
    """

    names: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def cell_connectors(workbook: Workbook) -> CellConnectors:
    """Find the registered connectors whose classes cells define; none outside a notebook.

    Raises
    ------
    SliceError
        For one that is neither bound to a variable nor made without arguments: nobody could make it again.
    """
    if workbook.shell is None:
        return CellConnectors()
    own = [one for one in ConnectorRegistry.known().values() if type(one).__module__ == MAIN]
    made = [_made(one, workbook.namespace) for one in own]
    if not made:
        return CellConnectors()
    register = "from flyte_nb.connectors import ConnectorRegistry as _registry"
    return CellConnectors(
        tuple(name for name, _ in made),
        (register, *(f"_registry.register({value}, override=True)" for _, value in made)),
    )


def _made(connector: AsyncConnector[Any], namespace: dict[str, Any]) -> tuple[str, str]:
    """Give the name that a module must define for a connector, and the expression that gives the connector."""
    for name, value in namespace.items():
        if value is connector and not name.startswith("_"):
            return name, name
    kind = type(connector).__qualname__
    if vars(connector):
        raise SliceError(
            f"the connector {kind} was made with values of its own, and no variable holds it: a server cannot make it "
            f"again. Bind it first: connector = {kind}(…), then ConnectorRegistry.register(connector)"
        )
    return kind, f"{kind}()"
