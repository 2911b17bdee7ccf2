"""Work: what the editor shows of a draft, and what its buttons do with it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from flyte_nb.changes import Changes
from flyte_nb.cloning import ClonePreview, preview_clone
from flyte_nb.drafting import Draft
from flyte_nb.editing.fit import here, machine_notices
from flyte_nb.editing.sources import Sources
from flyte_nb.editing.words import as_secret, declared_at, differs, named, seen, variables, worded
from flyte_nb.environments.base import Environment
from flyte_nb.errors import DeploymentError, FlyteError, UsageError
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
from flyte_nb.session import Session
from flyte_nb.views import View
from flyte_nb.widgets import drafts as told
from flyte_nb.widgets.editor import Choice, Edited, FieldState, Item

__all__ = ["Work"]

_MOST_FILES = 100


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
        self._sources = Sources(session.secrets)

    @property
    def form(self) -> tuple[Section, ...]:
        return form_of(type(self.draft.env))

    @property
    def _fields(self) -> dict[str, FormField]:
        return {field.path: field for section in self.form for field in section.fields}

    # --- following ---

    def follow(self, changed: Callable[[], None], noticed: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """Have every change told, and by another thread where secrets were found; give what ends that."""
        yield self.draft.observe(lambda _: changed())
        yield process_registry.observe(lambda changes: self._declared(changes, changed))
        after = self._session.after_cell

        def look_again() -> None:  # the cell may have set a secret, and it is known only now what it declared
            self._sources.forget()
            changed()

        after.append(look_again)
        yield lambda: after.remove(look_again) if look_again in after else None
        yield self._sources.follow(noticed)

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
            changed=frozenset(change.field for change in draft.changes),
            can_undo=draft.can_undo,
            can_redo=draft.can_redo,
            lost=self._refused or draft.stale,
            conflicts=tuple(
                Choice(c.path, worded(c.path, c.before), worded(c.path, c.mine), worded(c.path, c.theirs))
                for c in draft.conflicts
            ),
            here=here(),
            file="" if draft.env.place.in_cell else draft.env.place.file,
        )

    def _states(self) -> Iterator[tuple[str, FieldState]]:
        declared, proposed = self.draft.env, self.draft.proposed
        notices = machine_notices(proposed)
        changed = {change.field for change in self.draft.changes}
        for path, field in self._fields.items():
            if field.shape.kind == "items":
                continue
            text, told = seen(field, proposed)
            was = None
            if field.root in changed and differs(field, declared, proposed):
                before, hidden = seen(field, declared)
                was = hidden or before or "not set"
            yield path, FieldState(text, was, told, notices.get(path, ""))

    def _items(self) -> Iterator[tuple[str, list[Item]]]:
        env, before = self.draft.proposed, self.draft.env
        yield "env_vars", list(variables(env, before))
        yield "secrets", list(self._secrets(env, before))
        names = [one.name for one in before.depends_on]
        yield (
            "depends_on",
            [
                Item(one.name, None, "added" if one.name not in names else declared_at(one), _added(one.name, names))
                for one in env.depends_on
            ],
        )

    def _secrets(self, env: Environment, before: Environment) -> Iterator[Item]:
        """Say where each secret would come from: its value is not read out."""
        there = [as_secret(item) for item in listed(before.secrets)]
        for item in map(as_secret, listed(env.secrets)):
            source = self._sources.of(item)
            where = f"{item.as_env_var}: " if item.as_env_var else ""
            command = f"%flyte secret set {item.key}{f' --group {item.group}' if item.group else ''}"
            note = f"{where}{'…' if source is None else f'from {source}' if source else f'missing; {command}'}"
            kind = "notice" if source == "" else "changed" if item not in there else ""
            yield Item(named(item.key, item.group), None, note, kind)

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
            kept = next(s for s in map(as_secret, listed(env.secrets)) if named(s.key, s.group) == name)
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
                root = location if env.place.in_cell else Path(env.place.folder)
                paths = [path for path, _, _ in itertools.islice(named_files(one, root), _MOST_FILES)]
            except (DeploymentError, OSError) as error:
                found.append(f"! {error}")
                continue
            more = ["…"] if len(paths) == _MOST_FILES else []
            count = f"{len(paths)}{'+' if more else ''} file{'' if len(paths) == 1 else 's'}"
            found += [f"{pattern}: {count}", *(f"  {path}" for path in paths), *more]
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
        preview = self._preview(name)
        return told.clone(name, self.draft.env, preview.errors, preview.notices)

    def clone(self, name: str) -> str:
        preview = self._preview(name)
        made = preview.apply()
        return f"{made.name} is declared in this kernel; the statement that declares it:  {preview.code()}"


def _added(name: str, names: list[str]) -> str:
    return "" if name in names else "changed"
