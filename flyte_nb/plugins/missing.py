"""What a plugin says where the package of its engine is not installed."""

from __future__ import annotations

from importlib.util import find_spec

from flyte_nb.errors import RuntimeUserError

__all__ = ["insist_on"]


def insist_on(package: str, extra: str, engine: str) -> None:
    """Refuse to go on without a package.

    Parameters
    ----------
    package : str
        What is imported.
    extra : str
        The extra of this package that brings it.
    engine : str
        What people call it.

    Raises
    ------
    RuntimeUserError
        With the code ``PackageMissing``, when this Python does not have it.
    """
    if find_spec(package) is None:
        raise RuntimeUserError(
            "PackageMissing",
            f"{engine} is not installed in the Python of this task: pip install 'flyte_nb[{extra}]', or name "
            f"{package} in the packages of its Image",
        )
