"""Secret: a name for a credential; the value is found at run time and never stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration, refuse

__all__ = ["Secret", "SecretRequest", "secrets_from_request"]

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_MOUNT = Path("/etc/flyte/secrets")


def _mount(value: Any) -> Any:
    if isinstance(value, str):
        value = Path(value)
    if isinstance(value, Path) and value != _MOUNT:
        raise ValueError("no other path is supported")
    return value


@dataclass(unsafe_hash=True, repr=False)
class Secret(Declaration):
    """A name for a credential that a task receives as an environment variable or a mounted file.

    Parameters
    ----------
    key : str
        The name of the secret in its store.
    group : str, optional
        The group it belongs to there.
    mount : path, optional
        ``/etc/flyte/secrets``, to mount it as a file.
    as_env_var : str, optional
        The environment variable that carries it; derived from group and key when there is no mount.
    """

    key: str
    group: str | None = None
    mount: Annotated[Path | None, Check(_mount, "/etc/flyte/secrets", before=True)] = None
    as_env_var: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.as_env_var is None and self.mount is None:
            parts = [self.group, self.key] if self.group else [self.key]
            self.as_env_var = "_".join(parts).replace("-", "_").upper()
        if self.as_env_var is not None and not _VARIABLE.fullmatch(self.as_env_var):
            raise refuse(
                self,
                "as_env_var",
                self.as_env_var,
                "upper-case letters, digits and '_', not starting with a digit, such as 'API_KEY'",
            )


SecretRequest = str | Secret | list[str | Secret]


def secrets_from_request(request: SecretRequest | None) -> list[Secret]:
    """Give what a ``secrets=`` argument asks for as a list of `Secret`; given Secret objects stay the same objects."""
    if request is None:
        return []
    items = request if isinstance(request, list) else [request]
    return [Secret(key=item) if isinstance(item, str) else item for item in items]
