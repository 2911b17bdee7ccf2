"""Container words: the parts of a container's command that tasks and apps share."""

from __future__ import annotations

from typing import Any

__all__ = ["bundle_words", "image_cache_words", "of_context"]


def of_context(context: Any, name: str) -> Any:
    """Give an attribute of a serialisation context, or of what it holds; None where there is none."""
    return getattr(context, name, None)


def image_cache_words(sctx: Any) -> list[str]:
    """Word the images that are built already."""
    cache = of_context(sctx, "image_cache")
    if not cache:
        return []
    return ["--image-cache", of_context(cache, "serialized_form") or cache.to_transport]


def bundle_words(bundle: Any) -> list[str]:
    """Word where the code is, and where it is unpacked."""
    if not bundle:
        return []
    kind = "tgz" if of_context(bundle, "tgz") else "pkl"
    return [f"--{kind}", str(of_context(bundle, kind)), "--dest", str(of_context(bundle, "destination") or ".")]
