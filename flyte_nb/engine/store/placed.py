"""Placed: what was deployed from here to clusters, at which version; the cluster itself is asked nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from flyte_nb.engine.base import Deployment, Deployments, History, now
from flyte_nb.engine.store.deployments import target_of
from flyte_nb.engine.store.file import File

__all__ = ["PlacedRecords"]


class PlacedRecords(File):
    """The part of a store that keeps what is in clusters; a place is an address with a project and a domain."""

    def placed_targets(self, rows: Iterable[dict[str, Any]], place: str, version: str, named: bool) -> Deployments:
        """Say which version each environment gets in a place: the one that it has there where nothing has changed.

        Parameters
        ----------
        rows, version, named
            As of `DeploymentRecords.deploy`.
        place : str
            Where.

        Raises
        ------
        DeploymentError
            When an environment has the version already, with other content.
        """
        known: dict[str, list[Deployment]] = {}
        for one in self.placed(place=place):
            known.setdefault(one.environment, []).append(one)
        made = Deployments()
        for row in rows:
            mine = known.get(row["environment"], [])
            current = mine[0].version if mine else None
            target = target_of(row, row["digest"], version, named, {one.version: one for one in mine}, current)
            made.append(replace(target, place=place))
        return made

    def put_placed(self, made: Iterable[Deployment], rows: Iterable[dict[str, Any]]) -> None:
        """Record that environments are in their places, as the current versions there; all of them at once.

        Parameters
        ----------
        made : iterable of Deployment
            What `placed_targets` gave.
        rows : iterable of dict
            What that was of.
        """
        time, tasks = now().isoformat(), {row["environment"]: json.dumps(row["tasks"]) for row in rows}
        values = [
            (one.environment, one.place, one.version, one.created.isoformat(), time, tasks[one.environment], one.digest)
            for one in made
        ]
        with self._writing() as db:
            db.executemany("INSERT OR REPLACE INTO placed VALUES (?,?,?,?,?,?,?)", values)

    def placed(self, environment: str | None = None, place: str | None = None) -> History:
        """Give the versions in clusters, the one used last first; of one environment or one place where it is named."""
        query = (
            "SELECT * FROM placed WHERE environment = coalesce(?, environment) AND place = coalesce(?, place) "
            "ORDER BY used DESC, created DESC, rowid DESC"
        )
        seen = set[tuple[str, str]]()
        found = History()
        for row in self._rows(query, (environment, place)):
            key = row["environment"], row["place"]
            found.append(_read(row, current=key not in seen))
            seen.add(key)
        return found

    def placed_row(self, environment: str, version: str | None = None) -> dict[str, Any] | None:
        """Give what is known of an environment in a cluster, at a version or the one used last; None for nothing."""
        query = (
            "SELECT * FROM placed WHERE environment = ? AND version = coalesce(?, version) "
            "ORDER BY used DESC, created DESC, rowid DESC LIMIT 1"
        )
        rows = self._rows(query, (environment, version))
        return {**dict(rows[0]), "tasks": json.loads(rows[0]["tasks"])} if rows else None


def _read(row: sqlite3.Row, current: bool) -> Deployment:
    until = None if current else datetime.fromisoformat(row["used"])
    return Deployment(row["environment"], row["version"], datetime.fromisoformat(row["created"]),
                      tuple(json.loads(row["tasks"])), current=current, until=until, digest=row["digest"],
                      place=row["place"])  # fmt: skip
