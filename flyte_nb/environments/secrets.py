"""Secret: a name for a credential; the value is found at run time and never stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from flyte_nb.environments.declaration import Check, Declaration, refuse
from flyte_nb.environments.texts import Text

__all__ = ["Secret", "SecretRequest", "secrets_from_request"]

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_MOUNT = Path("/etc/flyte/secrets")
_ACCEPTED_VARIABLE = "upper-case letters, digits and '_', not starting with a digit, such as 'API_KEY'"


def _variable(value: str | None) -> str | None:
    if value is not None and not _VARIABLE.fullmatch(value):
        raise ValueError("it is no such name")
    return value


def _mount(value: Any) -> Any:
    if isinstance(value, str | Path) and Path(value) != _MOUNT:
        raise ValueError("no other path is supported")
    return value


@dataclass(frozen=True, repr=False)
class Secret(Declaration):
    """A name for a credential that a task receives as an environment variable or a mounted file.

    Parameters
    ----------
    key : str
        The name of the secret in its store.
    group : str, optional
        The group it belongs to there.
    mount : str or Path, optional
        ``/etc/flyte/secrets``, to mount it as a file; kept as given.
    as_env_var : str, optional
        The environment variable that carries it: upper-case letters, digits and ``_``. Without a mount it is
        derived from group and key when it is not given; a key with dots or spaces needs it.
    """

    key: Text
    group: str | None = None
    mount: Annotated[Path | str | None, Check(_mount, "/etc/flyte/secrets", before=True)] = None
    as_env_var: Annotated[str | None, Check(_variable, _ACCEPTED_VARIABLE)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.as_env_var is None and self.mount is None:
            object.__setattr__(self, "as_env_var", self._derived())

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return int(self.stable_hash()[:16], 16)

    def stable_hash(self) -> str:
        """Give a digest of the four fields, in hex: the same in every process."""
        return self.digest()

    def _derived(self) -> str:
        """Derive the variable; a key that gives no valid one is refused, as two keys could share a mended one."""
        name = "_".join([self.group, self.key] if self.group else [self.key]).replace("-", "_").upper()
        if not _VARIABLE.fullmatch(name):
            mended = re.sub(r"[^A-Z0-9_]|^(?=[0-9])", "_", name)
            reason = f"its variable would be {name!r}; give one, for example as_env_var={mended!r}"
            raise refuse(self, "key", self.key, "a key and a group that give an environment variable", reason)
        return name


SecretRequest = str | Secret | list[str | Secret]


def secrets_from_request(request: SecretRequest | None) -> list[Secret]:
    """Give what a ``secrets=`` argument asks for as a list of `Secret`; given Secret objects stay the same objects.

    Raises
    ------
    DeclarationError
        When something in it is neither a str nor a Secret, or is a str that no Secret can be made of.
    """
    if request is None:
        return []
    items = request if isinstance(request, list) else [request]
    return [item if isinstance(item, Secret) else Secret(key=item) for item in items]
