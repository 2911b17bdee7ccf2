"""Sources: where the secrets of an environment come from."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flyte_nb.engine.local.secrets import Secrets
from flyte_nb.environments.secrets import Secret
from flyte_nb.errors import UsageError

__all__ = ["Sources"]


class Sources:
    """Where secrets come from, looked up beside what goes on: a keyring may take its time.

    Parameters
    ----------
    secrets : Secrets
        Those of the session.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._known: dict[Secret, str] = {}
        self._asked: set[Secret] = set()
        self._changed: Callable[[], None] | None = None

    def follow(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Look secrets up in another thread, and have it told; give what ends that."""
        self._changed = changed

        def end() -> None:
            self._changed = None

        return end

    def forget(self) -> None:
        """Look again; what is known stays until then."""
        self._asked.clear()

    def of(self, secret: Secret) -> str | None:
        """Give where a secret would come from: empty for nowhere, None while that is not known."""
        if secret not in self._asked:
            self._asked.add(secret)
            if self._changed is None:
                self._find(secret)
            else:
                threading.Thread(target=self._find, args=(secret,), daemon=True).start()
        return self._known.get(secret)

    def _find(self, secret: Secret) -> None:
        try:
            found = self._secrets.status(secret)[0][3] or ""
        except UsageError as error:
            found = f"nobody knows where: {error}"
        was, self._known[secret] = self._known.get(secret), found
        if found != was and self._changed is not None:
            self._changed()
