"""Weight: how large a bundle is, and what makes it so."""

from __future__ import annotations

from flyte_nb.errors import DeploymentError
from flyte_nb.plan.bundle import Bundle
from flyte_nb.views import told_size

__all__ = ["LIMIT", "insist_light", "parts", "weight"]

LIMIT = 100 << 20  # bytes
_SHOWN = 5


def parts(bundle: Bundle) -> list[tuple[str, int, str]]:
    """Give what a bundle is made of, the largest first: the name, the bytes, and why it is there."""
    module = bundle.module
    found = [("the module", len(module.source.encode()), "the definitions")]
    found += [(value.name, len(value.data), f"a value computed by {value.label}") for value in module.captured]
    found += [(file.path, file.size, file.why) for file in bundle.files]
    return sorted(found, key=lambda part: -part[1])


def weight(bundle: Bundle) -> int:
    """Give the size of a bundle in bytes."""
    return sum(size for _, size, _ in parts(bundle))


def insist_light(bundle: Bundle, limit: int = LIMIT) -> None:
    """Refuse a bundle that is larger than a limit in bytes, before anything of it is copied.

    Raises
    ------
    DeploymentError
        With the largest parts.
    """
    total = weight(bundle)
    if total <= limit:
        return
    largest = "\n".join(f"  {told_size(size):>10}  {name}  ({why})" for name, size, why in parts(bundle)[:_SHOWN])
    raise DeploymentError(
        f"the bundle has {told_size(total)}, more than {told_size(limit)}; nothing was deployed. The largest parts:\n"
        f"{largest}\nTake what is not needed out of include or of the notebook, or allow it: allow_large=True, "
        "--allow-large"
    )
