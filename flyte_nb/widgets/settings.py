"""One setting of an environment as people read it: short, with what matters of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flyte_nb.engine.local.images.needs import label, safe
from flyte_nb.environments.declaration import Declaration, mask, set_fields
from flyte_nb.environments.image import Image
from flyte_nb.environments.layers import EnvVars
from flyte_nb.environments.secrets import secrets_from_request
from flyte_nb.views import bullet
from flyte_nb.widgets.tree import told

__all__ = ["told_setting"]

_LONGEST = 240
_LAYERS = 8


def told_setting(name: str, value: Any) -> str:
    """Word the value of a setting, with anything that looks like a secret hidden.

    Parameters
    ----------
    name : str
        The setting.
    value : Any
        Its value.

    Returns
    -------
    str
        At most a few lines: an image with a line for each layer, secrets by their keys, other declarations with what
        is not at its default.
    """
    if isinstance(value, Image):
        return "\n".join([_base(value), *bullet((f"  {_layer(layer)}" for layer in value._layers), _LAYERS)])
    if name == "secrets" and value:
        secrets = secrets_from_request(value)
        return ", ".join(bullet((f"{s.key} of the group {s.group}" if s.group else s.key for s in secrets), _LAYERS))
    text = _declared(value) if isinstance(value, Declaration) else mask(name, value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _base(image: Image) -> str:
    start = image.base_image or (f"Dockerfile {image.dockerfile}" if image.dockerfile else "")
    return safe(" ".join(filter(None, (start, f"named {image.name}" if image.name not in (None, "flyte") else ""))))


def _layer(layer: Any) -> str:
    return repr(layer) if isinstance(layer, EnvVars) else label(layer)  # it tells the names alone


def _declared(value: Declaration) -> str:
    fields = (f"{name}={_part(name, field)}" for name, field in set_fields(value) if not name.startswith("_"))
    return f"{type(value).__name__}({', '.join(fields)})"


def _part(name: str, value: Any) -> str:
    return told(value) if isinstance(value, timedelta) else mask(name, value)
