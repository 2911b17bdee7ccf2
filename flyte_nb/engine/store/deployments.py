"""Deployments: environments at versions, and which version of each is current."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from flyte_nb.engine.base import Deployment, Deployments, now
from flyte_nb.engine.store.file import File
from flyte_nb.errors import DeploymentError, UnknownNameError

__all__ = ["DeploymentRecords"]


class DeploymentRecords(File):
    """The part of a store that keeps deployments; they are written at once, all or none."""

    def deploy(self, rows: Iterable[dict[str, Any]], version: str, bundle: str) -> Deployments:
        """Make environments current at a version, all of them in one transaction.

        Parameters
        ----------
        rows : iterable of dict
            For each environment ``environment``, ``declaration`` (JSON data) and ``tasks`` (name to interface).
        version : str
            The version.
        bundle : str
            The folder of the bundle under `bundles`.

        Raises
        ------
        DeploymentError
            When an environment has the version already, from another bundle.
        """
        with self._writing() as db:
            return Deployments(self._deploy(db, row, version, bundle) for row in rows)

    def _deploy(self, db: sqlite3.Connection, row: dict[str, Any], version: str, bundle: str) -> Deployment:
        name, tasks = row["environment"], row["tasks"]
        values = (name, version, now().isoformat(), bundle, json.dumps(row["declaration"]), json.dumps(tasks))
        db.execute("INSERT OR IGNORE INTO deployments VALUES (?,?,?,?,?,?)", values)
        query = "SELECT created, bundle FROM deployments WHERE environment = ? AND version = ?"
        kept = db.execute(query, (name, version)).fetchone()
        if kept["bundle"] != bundle:
            raise DeploymentError(
                f"version {version!r} of {name!r} is deployed already, with other content; give another version, "
                "or none to have it from the content"
            )
        known = db.execute("SELECT version FROM current WHERE environment = ?", (name,)).fetchone()
        db.execute("INSERT OR REPLACE INTO current VALUES (?,?)", (name, version))
        unchanged = known is not None and known["version"] == version
        return Deployment(name, version, datetime.fromisoformat(kept["created"]), tuple(tasks), unchanged)

    def current(self) -> dict[str, str]:
        """Give the current version of each deployed environment."""
        return {row["environment"]: row["version"] for row in self._rows("SELECT * FROM current")}

    def current_rows(self) -> dict[str, dict[str, Any]]:
        """Give what `deployed` gives of the current version of each deployed environment, by name."""
        query = (
            "SELECT d.* FROM deployments d JOIN current c ON d.environment = c.environment AND d.version = c.version"
        )
        return {row["environment"]: _read(row) for row in self._rows(query)}

    def deployed(self, environment: str, version: str | None = None) -> dict[str, Any]:
        """Give what is known of a deployed environment at a version, or at the current one.

        Raises
        ------
        UnknownNameError
            With the nearest names or the versions there are.
        """
        current = self.current()
        if environment not in current:
            raise UnknownNameError("deployed environment", environment, current)
        wanted = version or current[environment]
        rows = self._rows("SELECT * FROM deployments WHERE environment = ?", (environment,))
        versions = {row["version"]: row for row in rows}
        if wanted not in versions:
            raise UnknownNameError(f"version of {environment!r}", wanted, versions)
        return _read(versions[wanted])


def _read(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "declaration": json.loads(row["declaration"]), "tasks": json.loads(row["tasks"])}
