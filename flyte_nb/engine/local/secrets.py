"""Secrets: finds the values of the secrets that tasks ask for, at run time, and keeps them to this process."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from flyte_nb.engine.local.redactor import Redactor
from flyte_nb.environments.secrets import Secret, SecretRequest, secrets_from_request
from flyte_nb.errors import MissingSecretError, UsageError
from flyte_nb.tracebacks import same_excepthook

__all__ = ["FOLDER_VARIABLE", "KEYRING_SERVICE", "Redactor", "Secrets"]

KEYRING_SERVICE = "flyte_nb"
#: tells a task where the files of its mounted secrets are
FOLDER_VARIABLE = "FLYTE_SECRETS_DIR"

_Found = tuple[str, str]  # a value, and where it was found
Status = tuple[str, str | None, str | None, str | None]


class Secrets:
    """The values of secrets, from the first source that has one.

    The sources, in order:

    1. values set in this session: `set`, ``%flyte secret set KEY``; then, for the key ``APP-token``, the token of an
       app that this session serves;
    2. the environment of this process: the secret's own variable, then the one its group and key give (``TEAM_API_KEY``
       for the key ``api-key`` of the group ``team``), then group and key as they are written (``team_api-key``);
    3. a file ``.env`` of the working directory, then of the given folders, by the same names;
    4. the system keyring, if the package ``keyring`` is installed: the service ``flyte_nb`` (``flyte_nb/GROUP`` for
       a secret of a group) and the key as the user name.

    An empty value counts as none. Values never appear in a repr, a pickle or an error.

    Parameters
    ----------
    *folders : Path
        Folders that may have a ``.env``, such as the project's.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._set: dict[tuple[str, str], str] = {}
        self._of_apps: dict[str, str] = {}

    def set(self, key: str, value: str, group: str | None = None) -> None:
        """Set a value for this session; it is kept in memory only.

        Raises
        ------
        UsageError
            When the value is empty, or is no text that an environment variable can hold.
        """
        reason = _why_not(value)
        if not key or reason:
            raise UsageError(f"the secret {key!r} was not set: {reason or 'it has no key'}")
        self._set[group or "", key] = value

    def unset(self, key: str, group: str | None = None) -> bool:
        """Forget a value of this session; tell whether there was one."""
        return self._set.pop((group or "", key), None) is not None

    def set_token(self, app: str, token: str | None) -> None:
        """Have the token of an app that is served as the secret ``APP-token``; None forgets it."""
        if token is None:
            self._of_apps.pop(app, None)
        else:
            self._of_apps[app] = token

    def token_of(self, app: str) -> str | None:
        """Give the token of an app that is served; None where it asks for none."""
        return self._of_apps.get(app)

    def names(self) -> list[tuple[str, str | None]]:
        """Give key and group of what is set in this session, sorted."""
        return [(key, group or None) for group, key in sorted(self._set, key=lambda name: (name[1], name[0]))]

    def set_values(self) -> list[str]:
        """Give the values that were set in this session, and the tokens of apps: no module may hold them."""
        return sorted((*self._set.values(), *self._of_apps.values()))

    def resolve(self, requests: SecretRequest | None) -> dict[str, str]:
        """Give the variables of a task's secrets, with their values.

        A secret with a mount and without a variable is looked for, too, but is not among them: see `mount`.

        Parameters
        ----------
        requests : str, Secret or list of these, optional
            What a ``secrets=`` argument asks for.

        Raises
        ------
        MissingSecretError
            When one is nowhere; it names all that are missing and what to do.
        UsageError
            When a ``.env`` file cannot be read.
        """
        found = self._values(requests)
        return {secret.as_env_var: value for secret, value in found if secret.as_env_var}

    def mount(self, requests: SecretRequest | None, folder: Path) -> dict[str, str]:
        """Write the secrets that ask for a mount into files, and give the variable that tells the task where.

        In a container a secret is the file ``/etc/flyte/secrets/KEY``. Without one that path cannot be given to one
        task alone, so the file is ``KEY`` (``GROUP/KEY`` in a group) under ``folder``, readable by this user only, and
        ``FLYTE_SECRETS_DIR`` says where. Code that reads
        ``os.environ.get("FLYTE_SECRETS_DIR", "/etc/flyte/secrets")`` runs the same in both. Whoever asks removes the
        folder when the task has ended.

        Parameters
        ----------
        requests : str, Secret or list of these, optional
            What a ``secrets=`` argument asks for.
        folder : Path
            A private folder of the run; it is made.

        Raises
        ------
        MissingSecretError, UsageError
            As `resolve`.
        OSError
            When the files cannot be written.
        """
        mounted = [(secret, value) for secret, value in self._values(requests) if secret.mount is not None]
        for secret, value in mounted:
            path = folder.joinpath(*map(_file_name, filter(None, (secret.group, secret.key))))
            _private_folders(path.parent, folder)
            path.unlink(missing_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(os.fsencode(value))
        return {FOLDER_VARIABLE: str(folder)} if mounted else {}

    def values(self, requests: SecretRequest | None) -> list[str]:
        """Give all values of a task's secrets, mounted ones too: what a `Redactor` has to know.

        Raises
        ------
        MissingSecretError, UsageError
            As `resolve`.
        """
        return [value for _, value in self._values(requests)]

    def status(self, requests: SecretRequest | None) -> list[Status]:
        """Say where each secret would come from: its key, group and variable, and the source or None.

        Raises
        ------
        UsageError
            When a ``.env`` file cannot be read.
        """
        sources = self._sources()
        found = [(secret, _first(secret, sources)) for secret in secrets_from_request(requests)]
        return [(s.key, s.group, s.as_env_var, value and value[1]) for s, value in found]

    def _values(self, requests: SecretRequest | None) -> list[tuple[Secret, str]]:
        asked = secrets_from_request(requests)
        sources = self._sources() if asked else []
        found = [(secret, _first(secret, sources)) for secret in asked]
        missing = [secret for secret, value in found if value is None]
        if missing:
            raise MissingSecretError(_told(missing, self._places()))
        return [(secret, value[0]) for secret, value in found if value is not None]

    def _sources(self) -> list[Callable[[Secret], _Found | None]]:
        files = [(path, _read(path)) for path in self.files() if path.is_file()]
        return [
            self._of_session,
            self._of_app,
            lambda secret: _named(secret, os.environ, "environment variable"),
            *(lambda secret, p=path, held=held: _named(secret, held, str(p)) for path, held in files),
            _of_keyring,
        ]

    def _of_session(self, secret: Secret) -> _Found | None:
        own = (secret.group or "", secret.key), ("", secret.as_env_var or "")
        return next(((self._set[name], "session") for name in own if name in self._set), None)

    def _of_app(self, secret: Secret) -> _Found | None:
        app = secret.key.removesuffix("-token")
        token = self._of_apps.get(app) if app != secret.key and not secret.group else None
        return None if token is None else (token, f"app {app}")

    def files(self) -> list[Path]:
        """Give the ``.env`` files that are looked at, whether they are there or not."""
        return list(dict.fromkeys(folder.absolute() / ".env" for folder in (Path(), *self._folders)))

    def _places(self) -> list[str]:
        keyring = "the system keyring" if find_spec("keyring") else "no keyring (pip install 'flyte_nb[keyring]')"
        return ["this session", "the environment", *map(str, self.files()), keyring]

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._set)} set in this session>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets do not leave their process: a task gets them with secrets=")


def _first(secret: Secret, sources: list[Callable[[Secret], _Found | None]]) -> _Found | None:
    return next((found for source in sources if (found := source(secret)) is not None), None)


def _names(secret: Secret) -> Iterator[str]:
    """Give the names of variables that may hold a secret."""
    name = f"{secret.group}_{secret.key}" if secret.group else secret.key
    if secret.as_env_var:
        yield secret.as_env_var
    yield re.sub(r"[^A-Z0-9_]", "_", name.upper())
    yield name


def _named(secret: Secret, held: Mapping[str, str | None], source: str) -> _Found | None:
    for name in _names(secret):
        if value := held.get(name):
            return value, f"{source} {name}" if held is os.environ else source
    return None


def _of_keyring(secret: Secret) -> _Found | None:
    if not find_spec("keyring"):
        return None
    import keyring
    from keyring.errors import KeyringError

    service = f"{KEYRING_SERVICE}/{secret.group}" if secret.group else KEYRING_SERVICE
    try:
        with same_excepthook():
            value = keyring.get_password(service, secret.key)
    except KeyringError:  # there is none on this machine, or it stays locked
        return None
    return (value, "keyring") if value else None


def _read(path: Path) -> dict[str, str | None]:
    from dotenv import dotenv_values

    try:
        return dotenv_values(path, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
    raise UsageError(f"{path} cannot be read: {reason}")  # outside the except clause: a decode error holds the text


def _why_not(value: object) -> str:
    """Word why something is no value of a secret, without it."""
    if not isinstance(value, str):
        return f"its value is of type {type(value).__name__}; accepted: str"
    if not value or "\0" in value:
        return "its value has a NUL character" if value else "its value is empty"
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return "its value is no text of this system's encoding"
    return ""


def _file_name(name: str) -> str:
    return quote(name, safe="").replace(".", "%2E") if set(name) == {"."} else quote(name, safe=" ")


def _private_folders(folder: Path, top: Path) -> None:
    top.mkdir(parents=True, exist_ok=True, mode=0o700)
    top.chmod(0o700)
    folder.mkdir(exist_ok=True, mode=0o700)


def _told(missing: list[Secret], places: list[str]) -> str:
    """Word which secrets are missing, where they were looked for, and what to do."""
    named = [f"{s.key!r}" + (f" of the group {s.group!r}" if s.group else "") for s in missing]
    commands = [f"%flyte secret set {s.key}" + (f" --group {s.group}" if s.group else "") for s in missing]
    variables = [next(iter(_names(secret))) for secret in missing]
    one = len(missing) == 1
    return (
        f"{'a secret is' if one else f'{len(missing)} secrets are'} missing: {', '.join(named)}; looked for in "
        f"{', '.join(places)}; give {'it' if one else 'each'} with  {'  and  '.join(commands)}  or as the "
        f"environment variable{'' if one else 's'} {', '.join(variables)}"
    )
