"""Images: the Python environments that stand in for images on this machine.

An `Image` with Python packages becomes a virtual environment made by uv: built once, shared between kernels, and kept
under ``FLYTE_NB_CACHE``. What needs a container is never built; `unmet` says it.
"""

from flyte_nb.engine.local.images.environment import Interpreter, ensure, is_built
from flyte_nb.engine.local.images.listing import CachedImage, cached_images, prune
from flyte_nb.engine.local.images.needs import env_vars_of, needs_environment, unmet

__all__ = [
    "CachedImage",
    "Interpreter",
    "cached_images",
    "ensure",
    "env_vars_of",
    "is_built",
    "needs_environment",
    "prune",
    "unmet",
]
