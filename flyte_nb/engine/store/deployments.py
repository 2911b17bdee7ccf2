"""Deployments: environments at versions, and which version of each is current."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from flyte_nb.engine.base import AGAIN, Deployment, Deployments, History, now
from flyte_nb.engine.store.file import File
from flyte_nb.errors import DeploymentError, UnknownNameError

__all__ = ["DeploymentRecords", "digest_of", "target_of", "told_deployment"]

_KNOWN = "SELECT * FROM deployments WHERE environment = ? ORDER BY created DESC, rowid DESC"
_CURRENT = "SELECT deployments.* FROM deployments JOIN current USING (environment, version)"
_CURRENT_DIGESTS = "SELECT environment, version, digest FROM deployments JOIN current USING (environment, version)"


class DeploymentRecords(File):
    """The part of a store that keeps deployments; they are written at once, all or none."""

    def deploy(
        self,
        rows: Iterable[dict[str, Any]],
        version: str,
        bundle: str,
        seal: str = "",
        named: bool = True,
    ) -> Deployments:
        """Make environments current at a version, all of them in one transaction.

        Parameters
        ----------
        rows : iterable of dict
            For each environment ``environment``, ``declaration`` (JSON data), ``tasks`` (name to interface), and the
            ``digest`` of what it is.
        version : str
            The version.
        bundle : str
            The folder of the bundle under `bundles`.
        seal : str
            The digest of the bundle's manifest.
        named : bool
            Whether the version is a name; else an environment that is known with the same digest keeps the version
            that it has, and the bundle is its own from now on.

        Raises
        ------
        DeploymentError
            When an environment has the version already, with other content.
        """
        with self._writing() as db:
            db.execute("UPDATE deployments SET seal = ? WHERE bundle = ?", (seal, bundle))  # it may be written anew
            return Deployments(self._deploy(db, row, version, bundle, seal, named) for row in rows)

    def _deploy(
        self, db: sqlite3.Connection, row: dict[str, Any], version: str, bundle: str, seal: str, named: bool
    ) -> Deployment:
        name, digest = row["environment"], row.get("digest") or digest_of(row, bundle)
        current = db.execute("SELECT version FROM current WHERE environment = ?", (name,)).fetchone()
        target = target_of(row, digest, version, named, _versions(db.execute(_KNOWN, (name,))),
                         current["version"] if current else None)  # fmt: skip
        change = "UPDATE deployments SET bundle = ?, seal = ? WHERE environment = ? AND version = ?"
        db.execute(change, (bundle, seal, name, target.version))
        if not target.unchanged:
            values = (name, target.version, target.created.isoformat(), bundle, json.dumps(row["declaration"]),
                      json.dumps(row["tasks"]), digest, json.dumps(row.get("reads", {})), seal, "")  # fmt: skip
            db.execute("INSERT OR IGNORE INTO deployments VALUES (?,?,?,?,?,?,?,?,?,?)", values)
            _make_current(db, name, target.version)
        return target

    def targets(self, rows: Iterable[dict[str, Any]], version: str, bundle: str, named: bool) -> Deployments:
        """Say what `deploy` would do, without doing it.

        Raises
        ------
        DeploymentError
            As `deploy`.
        """
        current, known = self.current(), dict[str, list[sqlite3.Row]]()
        wanted = list(rows)
        names = json.dumps([row["environment"] for row in wanted])
        query = ("SELECT environment, version, created, digest, bundle FROM deployments "
                 "WHERE environment IN (SELECT value FROM json_each(?)) ORDER BY created DESC, rowid DESC")  # fmt: skip
        for found in self._rows(query, (names,)):
            known.setdefault(found["environment"], []).append(found)
        return Deployments(
            target_of(row, row.get("digest") or digest_of(row, bundle), version, named,
                    _versions(known.get(row["environment"], ())), current.get(row["environment"]))
            for row in wanted
        )  # fmt: skip

    def bring_back(self, versions: Mapping[str, str]) -> Deployments:
        """Make earlier versions of environments current again, all in one transaction.

        Raises
        ------
        UnknownNameError
            For an environment or a version that there is not.
        """
        for name, version in versions.items():
            self.deployed(name, version)
        made = Deployments()
        with self._writing() as db:
            for name, version in versions.items():
                query = "SELECT * FROM deployments WHERE environment = ? AND version = ?"
                row = db.execute(query, (name, version)).fetchone()
                if row is None:  # pruned meanwhile
                    raise DeploymentError(f"version {version!r} of {name!r} was removed meanwhile")
                before = db.execute("SELECT version FROM current WHERE environment = ?", (name,)).fetchone()
                same = before is not None and before["version"] == version
                if not same:
                    _make_current(db, name, version)
                made.append(told_deployment(_read(row), unchanged=same, note="" if same else AGAIN))
        return made

    def current(self) -> dict[str, str]:
        """Give the current version of each deployed environment."""
        return {row["environment"]: row["version"] for row in self._rows("SELECT * FROM current")}

    def current_digests(self) -> dict[str, tuple[str, str]]:
        """Give the current version of each deployed environment, and the digest of what it is."""
        return {row["environment"]: (row["version"], row["digest"]) for row in self._rows(_CURRENT_DIGESTS)}

    def current_rows(self) -> dict[str, dict[str, Any]]:
        """Give what is known of each deployed environment at its current version, by its name."""
        return {row["environment"]: _read(row) for row in self._rows(_CURRENT)}

    def history(self, environment: str | None = None) -> History:
        """Give the versions of an environment, the newest first; or the current ones of all environments.

        Raises
        ------
        UnknownNameError
            With the nearest names.
        """
        current = self.current()
        if environment is None:
            rows = self._rows(f"{_CURRENT} ORDER BY created DESC, deployments.rowid DESC")
        elif environment in current:
            rows = self._rows(_KNOWN, (environment,))
        else:
            raise UnknownNameError("deployed environment", environment, current)
        return History(
            told_deployment(_read(row), current=current.get(row["environment"]) == row["version"]) for row in rows
        )

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

    def old_deployments(self, before: datetime) -> list[dict[str, Any]]:
        """Give the versions that are not current, and have not been since a time."""
        query = (
            "SELECT * FROM deployments WHERE max(created, until) < ? AND NOT EXISTS (SELECT 1 FROM current "
            "WHERE current.environment = deployments.environment AND current.version = deployments.version) "
            "ORDER BY created, rowid"
        )
        return [_read(row) for row in self._rows(query, (before.isoformat(),))]

    def forget_deployments(self, rows: Iterable[dict[str, Any]], before: datetime) -> None:
        """Remove what `old_deployments` gave, except what has become current since."""
        statement = (
            "DELETE FROM deployments WHERE environment = ? AND version = ? AND max(created, until) < ? AND version "
            "NOT IN (SELECT version FROM current WHERE current.environment = deployments.environment)"
        )
        with self._writing() as db:
            db.executemany(statement, [(row["environment"], row["version"], before.isoformat()) for row in rows])

    def used_bundles(self, without: Collection[tuple[str, str]] = ()) -> set[str]:
        """Name the folders of bundles that some version has, other than some: environment and version of each."""
        rows = self._rows("SELECT environment, version, bundle FROM deployments")
        return {row["bundle"] for row in rows if (row["environment"], row["version"]) not in without}


def digest_of(row: Mapping[str, Any], bundle: str) -> str:
    """Give the digest of an environment whose row does not tell it: of the row and of its whole bundle."""
    told = json.dumps([row["environment"], row["declaration"], row["tasks"], bundle], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def target_of(
    row: Mapping[str, Any], digest: str, version: str, named: bool, known: Mapping[str, Deployment], current: str | None
) -> Deployment:
    """Say which version an environment gets; ``known`` has the versions that there are, the newest first."""
    name, tasks = row["environment"], tuple(row["tasks"])
    if not named:
        same = [one for one in known.values() if one.digest == digest]
        chosen = next((one for one in same if one.version == current), same[0] if same else None)
        version = chosen.version if chosen is not None else version
    found = known.get(version)
    if found is not None and found.digest != digest:
        raise DeploymentError(
            f"version {version!r} of {name!r} is deployed already, with other content. To make that one current again: "
            f"flyte.rollback({name!r}, version={version!r}). To deploy what is declared now: another version, or none, "
            "to have it from the content"
        )
    created = now() if found is None else found.created
    note = AGAIN if found is not None and version != current else ""
    return Deployment(name, version, created, tasks, version == current, digest=digest, note=note)


def _versions(rows: Iterable[sqlite3.Row]) -> dict[str, Deployment]:
    return {
        row["version"]: Deployment(row["environment"], row["version"], datetime.fromisoformat(row["created"]),
                                   digest=row["digest"])
        for row in rows
    }  # fmt: skip


def _make_current(db: sqlite3.Connection, name: str, version: str) -> None:
    left = "version = (SELECT version FROM current WHERE environment = ?)"
    db.execute(f"UPDATE deployments SET until = ? WHERE environment = ? AND {left}", (now().isoformat(), name, name))
    db.execute("UPDATE deployments SET until = '' WHERE environment = ? AND version = ?", (name, version))
    db.execute("INSERT OR REPLACE INTO current VALUES (?,?)", (name, version))


def _read(row: sqlite3.Row) -> dict[str, Any]:
    told = {name: json.loads(row[name] or "{}") for name in ("declaration", "tasks", "reads")}
    return {**dict(row), **told}


def told_deployment(
    row: Mapping[str, Any], current: bool = True, unchanged: bool = False, note: str = ""
) -> Deployment:
    """Give the record of a deployment from what the store knows of it."""
    until = datetime.fromisoformat(row["until"]) if row["until"] and not current else None
    return Deployment(row["environment"], row["version"], datetime.fromisoformat(row["created"]),
                      tuple(row["tasks"]), unchanged, current, until, row["digest"], note)  # fmt: skip
