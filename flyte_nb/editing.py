"""Editing: ``flyte.edit`` — the draft of an environment in an editor that follows what is declared."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flyte_nb.changes import Changes
from flyte_nb.cloning import ClonePreview, preview_clone
from flyte_nb.drafting import Draft, draft
from flyte_nb.engine.local.demand import cores, demand_of, size
from flyte_nb.engine.local.machine import Machine
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import HIDDEN, looks_secret, mask
from flyte_nb.environments.secrets import Secret
from flyte_nb.errors import DeploymentError, FlyteError, ResourceError, UsageError, UsageTypeError
from flyte_nb.form.fields import FormField, Section
from flyte_nb.form.items import (
    listed,
    with_dependency,
    with_secret,
    with_variable,
    without_dependency,
    without_secret,
    without_variable,
)
from flyte_nb.form.sections import form_of
from flyte_nb.plan.includes import named_files
from flyte_nb.registry import process_registry
from flyte_nb.session import Session, current_session
from flyte_nb.views import View
from flyte_nb.widgets import drafts as told
from flyte_nb.widgets.editor import Choice, Edited, EditorView, FieldState, Item
from flyte_nb.widgets.settings import told_setting

__all__ = ["Editor", "edit"]

_MOST_FILES = 100
_MACHINE = {"cpu": "resources.cpu", "memory": "resources.memory", "gpu": "resources.gpu", "disk": "resources.disk",
            "shm": "resources.shm"}  # fmt: skip


class Editor(EditorView):
    """The editor of one environment.

    Parameters
    ----------
    draft : Draft
        What it edits.
    """

    def __init__(self, draft: Draft) -> None:
        self._work = Work(draft, current_session())
        super().__init__(self._work)
        self._ends: list[Callable[[], None]] = []

    @property
    def draft(self) -> Draft:
        """The draft that it shows; what is changed in it is seen in the editor, and the other way round."""
        return self._work.draft

    def controls(self) -> Any:
        made = super().controls()
        self._ends = list(self._work.follow(self.changed))
        return made

    def left(self) -> None:
        for end in self._ends:
            end()
        self._ends = []
        super().left()


class Work:
    """What the editor shows of a draft, and does with it.

    Parameters
    ----------
    draft : Draft
        The draft.
    session : Session
        Knows the secrets and where the notebook lies.
    """

    def __init__(self, draft: Draft, session: Session) -> None:
        self.draft, self._session = draft, session
        self._refused = ""  # why the draft could not follow what is declared

    @property
    def form(self) -> tuple[Section, ...]:
        return form_of(type(self.draft.env))

    @property
    def _fields(self) -> dict[str, FormField]:
        return {field.path: field for section in self.form for field in section.fields}

    # --- following ---

    def follow(self, changed: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """Have every change told; give what ends that."""
        yield self.draft.observe(lambda _: changed())
        yield process_registry.observe(lambda changes: self._declared(changes, changed))
        after = self._session.after_cell
        after.append(changed)  # a cell may have set a secret, or written a file
        yield lambda: after.remove(changed) if changed in after else None

    def _declared(self, changes: Changes, changed: Callable[[], None]) -> None:
        """Take over what is declared otherwise, under what the draft changes."""
        name = self.draft.env.name
        touched = [*(env.name for env in (*changes.added, *changes.withdrawn)), *(c.env.name for c in changes.changed)]
        if name not in touched:
            return
        self._refused = ""
        if name in process_registry and process_registry[name] is not self.draft.env:
            try:
                self.draft.rebase()
            except (FlyteError, TypeError) as error:
                self._refused = f"the changes do not fit the newest declaration: {error}"
        changed()

    # --- looking ---

    def look(self) -> Edited:
        draft = self.draft
        code = self._written()
        return Edited(
            name=draft.env.name,
            kind=type(draft.env).__name__,
            place=str(draft.env.place),
            fields=dict(self._states()),
            items=dict(self._items()),
            changes=told.draft(draft.env, draft.changes),
            code=code,
            has_changes=bool(draft.changes),
            can_undo=draft.can_undo,
            can_redo=draft.can_redo,
            lost=self._refused or draft.stale,
            conflicts=tuple(
                Choice(c.path, _worded(c.path, c.before), _worded(c.path, c.mine), _worded(c.path, c.theirs))
                for c in draft.conflicts
            ),
            here=_here(),
            file="" if draft.env.place.in_cell else draft.env.place.file,
        )

    def _states(self) -> Iterator[tuple[str, FieldState]]:
        declared, proposed = self.draft.env, self.draft.proposed
        notices = _notices(proposed)
        changed = {change.field for change in self.draft.changes}
        for path, field in self._fields.items():
            if field.shape.kind == "items":
                continue
            text, told = _seen(field, proposed)
            was = None
            if field.root in changed and _differs(field, declared, proposed):
                before, hidden = _seen(field, declared)
                was = hidden or before or "not set"
            yield path, FieldState(text, was, told, notices.get(path, ""))

    def _items(self) -> Iterator[tuple[str, list[Item]]]:
        env, before = self.draft.proposed, self.draft.env
        yield "env_vars", list(_variables(env, before))
        yield "secrets", list(self._secrets(env, before))
        names = [one.name for one in before.depends_on]
        yield (
            "depends_on",
            [
                Item(one.name, None, "added" if one.name not in names else _declared_at(one), _added(one.name, names))
                for one in env.depends_on
            ],
        )

    def _secrets(self, env: Environment, before: Environment) -> Iterator[Item]:
        there = [_secret(item) for item in listed(before.secrets)]
        try:
            found = self._session.secrets.status(env.secrets)
        except UsageError as error:
            found = [(s.key, s.group, s.as_env_var, f"unknown: {error}") for s in map(_secret, listed(env.secrets))]
        for (key, group, variable, source), item in zip(found, listed(env.secrets), strict=True):
            where = f"as {variable}: " if variable else ""
            command = f"%flyte secret set {key}{f' --group {group}' if group else ''}"
            note = f"{where}found in {source}" if source else f"{where}missing; give it in a cell:  {command}"
            kind = "notice" if not source else "changed" if _secret(item) not in there else ""
            yield Item(_named(key, group), None, note, kind)

    def _written(self) -> View | None:
        """Give the lines of source that the draft changes."""
        if not self.draft.proposed.unwritten:
            return None
        try:
            return told.code(self.draft.code())
        except UsageError as error:
            return told.unwritable(str(error))

    # --- changing ---

    def type(self, path: str, text: str) -> None:
        field = self._fields[path]
        values = field.change(self.draft.proposed, text)
        if values:
            self.draft.revise(path, values)

    def put(self, path: str, name: str, text: str) -> None:
        env = self.draft.proposed
        if path == "env_vars":
            self.draft.revise(f"{path}.{name}", {path: with_variable(env, name, text)})
        elif path == "secrets":
            self.draft.update(secrets=with_secret(env, name, text.strip()))
        else:
            self.draft.update(depends_on=with_dependency(env, process_registry.find(name)))

    def remove(self, path: str, name: str) -> None:
        env = self.draft.proposed
        if path == "env_vars":
            self.draft.update(env_vars=without_variable(env, name))
        elif path == "secrets":
            kept = next(s for s in map(_secret, listed(env.secrets)) if _named(s.key, s.group) == name)
            self.draft.update(secrets=without_secret(env, kept.key, kept.group or ""))
        else:
            self.draft.update(depends_on=without_dependency(env, name))

    def offers(self, path: str) -> Sequence[str]:
        if path != "depends_on":
            return ()
        held = {self.draft.env.name, *(one.name for one in self.draft.proposed.depends_on)}
        return [name for name in process_registry if name not in held]

    def files(self) -> Sequence[str]:
        env, found = self.draft.proposed, []
        location = self._session.workbook.location.folder
        for pattern in env.include:
            one = copy.copy(env)
            one.include = (pattern,)
            try:
                root = location if env.place.in_cell else type(location)(env.place.folder)
                paths = [path for path, _, _ in itertools.islice(named_files(one, root), _MOST_FILES)]
            except (DeploymentError, OSError) as error:
                found.append(f"! {error}")
                continue
            more = ["…"] if len(paths) == _MOST_FILES else []
            found += [f"{pattern}: {len(paths)}{'+' if more else ''} files", *(f"  {path}" for path in paths), *more]
        return found[:_MOST_FILES]

    def undo(self) -> None:
        self.draft.undo()

    def redo(self) -> None:
        self.draft.redo()

    def discard(self, *paths: str) -> None:
        self.draft.discard(*paths)

    def keep(self, *paths: str) -> None:
        self.draft.keep(*paths)

    # --- using ---

    def apply(self) -> str:
        made = self.draft.apply()
        return f"{made.name} is declared so in this kernel; its source does not say it yet: copy the code, or write it"

    def code(self) -> str:
        source = self.draft.code().source
        if told.hides(source):
            raise UsageError("the code holds what looks like a secret, so it is not shown; "
                             "accepted: print(editor.draft.code()), or  Write to a new cell")  # fmt: skip
        return source

    def offer(self) -> str:
        self.draft.offer()
        return "the code comes in a new cell, below the next cell that you run"

    def write(self) -> str:
        return f"wrote {self.draft.write()}"

    def _preview(self, name: str) -> ClonePreview:
        changes = {change.field: change.after for change in self.draft.changes}
        reset = [field for field, value in changes.items() if value is None]
        given = {field: value for field, value in changes.items() if value is not None}
        return preview_clone(self.draft.env, name, reset=reset, **given)

    def preview(self, name: str) -> View:
        return self._preview(name).view()

    def clone(self, name: str) -> str:
        preview = self._preview(name)
        made = preview.apply()
        return f"{made.name} is declared in this kernel; the statement that declares it:  {preview.code()}"


def edit(env: Environment) -> Editor:
    """Edit an environment: its settings as controls where there is a front end for them, as text elsewhere.

    Nothing is declared before "Apply", or ``editor.draft.apply()``.

    Parameters
    ----------
    env : Environment
        What is edited: the newest declaration of its name.

    Returns
    -------
    Editor
        With ``draft``, whose functions do what the buttons do.

    Raises
    ------
    TypeError
        For what is no environment.
    """
    if not isinstance(env, Environment):
        raise UsageTypeError(f"flyte.edit: given {env!r:.80}; accepted: an environment")
    return Editor(draft(env))


# --- values in words ---


def _seen(field: FormField, env: Environment) -> tuple[str, str]:
    """Give the text of a field, or where it cannot be shown as one, its value in words."""
    if not field.is_editable(env):
        return "", told_setting(field.path, field.value(env))
    text = field.text(env)
    return ("", HIDDEN) if looks_secret(field.label, text) and text and field.shape.kind != "flag" else (text, "")


def _differs(field: FormField, declared: Environment, proposed: Environment) -> bool:
    if field.is_editable(declared) != field.is_editable(proposed):
        return True
    if field.is_editable(proposed):
        return field.text(declared) != field.text(proposed)
    return bool(field.value(declared) is not field.value(proposed))


def _worded(path: str, value: object) -> str:
    name = path.rpartition(".")[2]
    if value is None:
        return "not set"
    return HIDDEN if looks_secret(name, value) else mask(name, value)


def _variables(env: Environment, before: Environment) -> Iterator[Item]:
    old = before.env_vars or {}
    for name, value in (env.env_vars or {}).items():
        is_hidden = looks_secret(name, value)
        kind = "" if old.get(name) == value else "changed"
        was = _worded(name, old[name]) if name in old else ""
        note = "" if not kind else f"was {was}" if was else "added"
        hidden = f"hidden, as it looks like a secret{f'; {note}' if note else ''}"
        yield Item(name, None if is_hidden else value, hidden if is_hidden else note, kind, is_hidden)


def _secret(item: str | Secret) -> Secret:
    return item if isinstance(item, Secret) else Secret(item)


def _named(key: str, group: str | None) -> str:
    return f"{group}/{key}" if group else key


def _declared_at(env: Environment) -> str:
    newest = process_registry.get(env.name)
    return f"declared at {newest.place}" if newest is not None else "not declared any more"


def _added(name: str, names: list[str]) -> str:
    return "" if name in names else "changed"


# --- this machine ---


@functools.lru_cache(maxsize=1)
def _machine() -> Machine:
    return Machine.here()


def _here() -> str:
    machine = _machine()
    gpus = f"{len(machine.gpus)} GPUs" if machine.gpus else "no GPU"
    return f"{cores(int(machine.cores * 1000))} cpu, {size(machine.memory)} memory, {gpus}"


def _notices(env: Environment) -> dict[str, str]:
    """Say what this machine makes of the resources, by the field."""
    try:
        notices = demand_of(_machine(), env.resources).notices
    except ResourceError as error:
        return {"resources.gpu": f"refused here: {error}"}
    found: dict[str, str] = {}
    for notice in notices:
        kind, _, told = notice.partition(" ")
        path = _MACHINE.get(kind, "resources.cpu")
        found[path] = f"{found[path]}; {told}" if path in found else told
    return found
