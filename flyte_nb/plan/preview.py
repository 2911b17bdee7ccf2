"""Plan: what deploying would do, said before it is done. Plain records, and how they are put together."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flyte_nb.notebook.reading import ENVIRONMENT
from flyte_nb.plan.bundle import Bundle
from flyte_nb.plan.diff import FieldChange, NameChange, TaskChange, fields_changed, names_changed, tasks_changed
from flyte_nb.plan.groups import groups
from flyte_nb.plan.weight import parts

__all__ = ["Plan", "PlannedChange", "PlannedFile", "PlannedImage", "PlannedSecret", "planned"]


@dataclass(frozen=True)
class PlannedChange:
    """What deploying would do with one environment.

    Parameters
    ----------
    environment, kind : str
        Its name and its class.
    what : {"create", "update", "same"}
        What would happen.
    version : str
        What would be current afterwards.
    deployed : str
        What is current now; empty for none.
    fields : tuple of FieldChange
        Settings that differ from the deployed ones.
    tasks : tuple of TaskChange
        Tasks that were added, changed or withdrawn.
    names : tuple of NameChange
        What differs of the code that is no task: hooks, servers, what the declaration reads.
    files : tuple of NameChange
        Files of its own that differ.
    has_tasks : tuple of str
        The tasks it would have.
    note : str
        What else there is to know.
    """

    environment: str
    kind: str
    what: str
    version: str
    deployed: str = ""
    fields: tuple[FieldChange, ...] = ()
    tasks: tuple[TaskChange, ...] = ()
    names: tuple[NameChange, ...] = ()
    files: tuple[NameChange, ...] = ()
    has_tasks: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class PlannedFile:
    """A file of the bundle: where it would lie, its size in bytes, and why it is in."""

    path: str
    size: int
    why: str


@dataclass(frozen=True)
class PlannedImage:
    """An image that environments or tasks ask for.

    Parameters
    ----------
    image : str
        Its tag or URI.
    used_by : tuple of str
        Who asks for it.
    state : str
        ``"built"``, ``"not built yet"``, ``"the Python of this notebook"``, or why it cannot be told.
    missing : tuple of str
        What of it needs a container.
    """

    image: str
    used_by: tuple[str, ...]
    state: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedSecret:
    """A secret that environments or tasks ask for; never its value.

    Parameters
    ----------
    key, group, variable : str
        As declared; group and variable may be empty.
    used_by : tuple of str
        Who asks for it.
    source : str
        Where it would come from; empty when it is nowhere.
    """

    key: str
    group: str
    variable: str
    used_by: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Plan:
    """What deploying would do. Making one changes nothing; the same input has the same digest.

    Parameters
    ----------
    version : str
        The version that what is created or updated would have.
    digest : str
        SHA-256, in hex, of what would be done.
    order : tuple of str
        The environments, dependencies first.
    waves : tuple of tuple of str
        The same in layers; what is in one can be applied at the same time.
    groups : tuple of tuple of str
        The same by dependency; a group is deployed as a whole or not at all.
    changes : tuple of PlannedChange
        For each environment, in that order, what would happen.
    files : tuple of PlannedFile
        All that the bundle holds, the largest first.
    values : tuple of PlannedFile
        Those of the files that are values which the notebook computed, by variable.
    images : tuple of PlannedImage
        What tasks would run in.
    secrets : tuple of PlannedSecret
        What tasks would be given.
    notices : tuple of str
        What would not be as it was asked for, and what else to know.
    asked : tuple of str
        The environments that it was asked for; empty for everything that is declared.
    is_named : bool
        Whether its version is a name that was given.
    content : str
        SHA-256, in hex, of what is declared: that of the bundle, whatever is deployed.
    """

    version: str
    digest: str
    order: tuple[str, ...] = ()
    waves: tuple[tuple[str, ...], ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    changes: tuple[PlannedChange, ...] = ()
    files: tuple[PlannedFile, ...] = ()
    values: tuple[PlannedFile, ...] = ()
    images: tuple[PlannedImage, ...] = ()
    secrets: tuple[PlannedSecret, ...] = ()
    notices: tuple[str, ...] = ()
    asked: tuple[str, ...] = field(default=(), compare=False)
    is_named: bool = field(default=False, compare=False)
    content: str = field(default="", compare=False)

    def __bool__(self) -> bool:
        return any(change.what != "same" for change in self.changes)

    @property
    def size(self) -> int:
        """Bytes of the bundle."""
        return sum(file.size for file in self.files)

    @property
    def counts(self) -> dict[str, int]:
        """How many environments would be created, updated and left the same."""
        counted = Counter(change.what for change in self.changes)
        return {what: counted[what] for what in ("create", "update", "same")}

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON data."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        del data["asked"], data["is_named"], data["content"]  # how one came to it, not what would be done
        return {**data, "counts": self.counts, "size": self.size}

    def to_json(self) -> str:
        """Give it as JSON; the same plan has the same text."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True)

    def __str__(self) -> str:
        told = ", ".join(f"{count} to {what}" if what != "same" else f"{count} unchanged"
                         for what, count in self.counts.items() if count)  # fmt: skip
        return f"<Plan of {len(self.changes)} environments: {told or 'nothing to do'}, version {self.version}>"

    __repr__ = __str__


def planned(
    bundle: Bundle,
    targets: Mapping[str, tuple[str, bool]],
    current: Mapping[str, Mapping[str, Any]],
    waves: Iterable[tuple[str, ...]] = (),
    images: Iterable[PlannedImage] = (),
    secrets: Iterable[PlannedSecret] = (),
    notices: Iterable[str] = (),
) -> Plan:
    """Put a plan together.

    Parameters
    ----------
    bundle : Bundle
        What would be deployed.
    targets : mapping
        For each environment the version it would have, and whether it is deployed like that already.
    current : mapping
        For each environment that is deployed, its row: ``version``, ``declaration``, ``tasks``, and where they are
        known ``reads`` and ``files``.
    waves, images, secrets, notices
        As of `Plan`.
    """
    changes = tuple(
        _change(row, *targets[row["environment"]], current.get(row["environment"])) for row in bundle.environments
    )
    done = [[change.environment, change.what, change.version] for change in changes]
    digest = hashlib.sha256(json.dumps([bundle.content, done]).encode()).hexdigest()
    values = [PlannedFile(v.name, len(v.data), f"computed by {v.label}") for v in bundle.module.captured]
    return Plan(
        version=bundle.version,
        digest=digest,
        order=tuple(row["environment"] for row in bundle.environments),
        waves=tuple(waves),
        groups=tuple(tuple(group) for group in groups(bundle.environments)),
        changes=changes,
        files=tuple(PlannedFile(*part) for part in parts(bundle)),
        values=tuple(sorted(values, key=lambda value: -value.size)),
        images=tuple(images),
        secrets=tuple(secrets),
        notices=tuple(dict.fromkeys(notices)),
        content=bundle.content,
    )


def _change(row: Mapping[str, Any], version: str, unchanged: bool, before: Mapping[str, Any] | None) -> PlannedChange:
    name, kind, tasks = row["environment"], str(row["declaration"].get("type", "Environment")), tuple(row["tasks"])
    if before is None:
        return PlannedChange(name, kind, "same" if unchanged else "create", version, has_tasks=tasks)
    deployed = before["version"]
    if unchanged:
        return PlannedChange(name, kind, "same", version, deployed, has_tasks=tasks)
    fields = fields_changed(before["declaration"], row["declaration"])
    told = [change.field for change in fields]
    changed = tasks_changed(before["tasks"], row["tasks"], told)
    names = []
    if "reads" in before and before.get("digest") != "":  # an older flyte_nb kept neither
        names = _of_its_own(name, names_changed(before["reads"] or {}, row["reads"]), fields)
    files = names_changed(before.get("files") or {}, row["files"]) if "files" in before else []
    note = "" if fields or changed or names or files else _why(before, row, version)
    return PlannedChange(
        name, kind, "update", version, deployed, tuple(fields), tuple(changed), tuple(names), tuple(files), tasks, note
    )


def _of_its_own(env: str, names: Iterable[NameChange], fields: Iterable[FieldChange]) -> list[NameChange]:
    """Leave out an environment's own declaration where its fields tell more."""
    own = ENVIRONMENT + env
    told = bool(list(fields))
    return [
        NameChange("its declaration", one.what) if one.name == own else one
        for one in names
        if one.name != own or not told
    ]


def _why(before: Mapping[str, Any], row: Mapping[str, Any], version: str) -> str:
    if before.get("digest") == row["digest"]:
        return f"the same content under the version {version}"
    return "what was deployed does not tell what it was made of"
