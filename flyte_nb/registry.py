"""Registry: the environments alive in this process; the newest of a name wins, and every change is told.

A cell is a transaction: what it declares replaces what it declared before, what it no longer declares is withdrawn, and
a cell that fails leaves everything as it was. Outside a cell each declaration takes effect at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from flyte_nb.changes import Changes, EnvironmentChange, same_task, tasks_of
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import Change, refuse
from flyte_nb.environments.task import TaskEnvironment, rebind
from flyte_nb.environments.template import TaskTemplate
from flyte_nb.errors import DuplicateEnvironmentError, UnknownNameError

__all__ = ["Registry", "Source"]


@dataclass(frozen=True)
class Source:
    """Where declarations come from, as the registry tells them apart.

    Parameters
    ----------
    key : str
        The same for every run of the same cell, or the path of a module.
    label : str
        How people are told: ``"In [3]"``, or the path.
    is_cell : bool
        Whether it is a cell.
    """

    key: str
    label: str = field(compare=False)  # the same cell has another number each time it runs
    is_cell: bool = False


@dataclass
class _Entry:
    env: Environment
    source: Source


@dataclass
class _Before:
    """What a name stood for before the running cell touched it."""

    entry: _Entry | None
    depends_on: list[Environment]
    tasks: dict[str, TaskTemplate]

    @classmethod
    def of(cls, entry: _Entry | None) -> _Before:
        if entry is None:
            return cls(None, [], {})
        return cls(entry, list(entry.env.depends_on), dict(tasks_of(entry.env)))


class _Values:
    """The values of an environment's fields, and what its dicts and lists held, to put them back."""

    def __init__(self, env: Environment) -> None:
        self._env, self._held = env, dict(vars(env))
        self._inside = [(value, value.copy()) for value in self._held.values() if type(value) in (dict, list)]

    def put_back(self) -> None:
        held = vars(self._env)
        held.clear()
        held.update(self._held)
        for value, before in self._inside:
            if value != before:
                value.clear()
                (value.update if isinstance(value, dict) else value.extend)(before)


class _Transaction:
    def __init__(self, source: Source, alive: Iterable[Environment] = ()) -> None:
        self.source = source
        #: fields can be assigned, and their dicts and lists changed, without anybody being told
        self.values = [_Values(env) for env in alive]
        self.before: dict[str, _Before] = {}
        self.declared: set[str] = set()
        self.bound: set[str] = set()
        self.task_sources: dict[str, Source | None] = {}
        self.notices: list[str] = []


class Registry(Mapping[str, Environment]):
    """The environments alive in this process, by name.

    It is a read-only mapping; declarations arrive through the `Listener` methods. `observe` follows changes.
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._task_sources: dict[str, Source] = {}
        self._observers: list[Callable[[Changes], None]] = []
        self._cell: _Transaction | None = None
        self._lock = threading.RLock()

    def __getitem__(self, name: str) -> Environment:
        return self._entries[name].env

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        names = ", ".join(map(repr, list(self._entries)[:10]))
        return f"<Registry of {len(self)} environments: {names}{', …' if len(self) > 10 else ''}>"

    def find(self, name: str) -> Environment:
        """Give the environment of a name.

        Raises
        ------
        UnknownNameError
            With the nearest names.
        """
        if name not in self._entries:
            raise UnknownNameError("environment", name, self._entries)
        return self[name]

    def find_task(self, name: str) -> TaskTemplate:
        """Give a task by its fully qualified name, or by its function's name where only one task has it.

        Raises
        ------
        UnknownNameError
            With the nearest names.
        """
        tasks = {fqn: task for env in self.values() for fqn, task in tasks_of(env).items()}
        if name in tasks:
            return tasks[name]
        matches = [task for fqn, task in tasks.items() if fqn.rpartition(".")[2] == name]
        if len(matches) == 1:
            return matches[0]
        raise UnknownNameError("task", name, [t.name for t in matches] or tasks)

    def newest(self, env: Environment) -> Environment:
        """Give the newest declaration of an environment's name, or ``env`` itself where none is alive."""
        entry = self._entries.get(env.name)
        return env if entry is None else entry.env

    def source_of(self, name: str) -> Source | None:
        """Give where the environment of a name comes from."""
        entry = self._entries.get(name)
        return entry.source if entry else None

    def observe(self, callback: Callable[[Changes], None]) -> Callable[[], None]:
        """Call ``callback`` with the `Changes` after every cell or declaration that made some.

        Returns
        -------
        callable
            Ends the observation.
        """
        self._observers.append(callback)
        return lambda: self._observers.remove(callback) if callback in self._observers else None

    # --- the listener: what is declared ---

    def declared(self, env: Environment) -> None:
        """Take in a new declaration; the newest of a name wins.

        Raises
        ------
        DuplicateEnvironmentError
            When a cell and an imported module declare the same name.
        """
        with self._lock:
            source = self._source_of_place(env)
            old = self._entries.get(env.name)
            if old is not None and old.source.is_cell != source.is_cell and (self._cell or source.is_cell):
                raise DuplicateEnvironmentError(
                    f"environment {env.name!r} is declared in {source.label} and in {old.source.label}; "
                    "accepted: one of them. Rename one, or import the module's in the place of declaring it again"
                )
            before = self._touch(env.name)
            self._entries[env.name] = _Entry(env, source)
            if self._cell is None:
                self._tell(self._compare({env.name: before}, []))
                return
            self._cell.declared.add(env.name)
            if old is not None:
                self._adopt(old, env, source)

    def amend(self, env: Environment) -> None:
        """Take in an edit of a declaration: it stays where it was declared, and keeps all of its tasks.

        Raises
        ------
        UnknownNameError
            When nothing of its name is declared.
        """
        with self._lock:
            old = self._entries.get(env.name)
            if old is None:
                raise UnknownNameError("environment", env.name, self._entries)
            before = self._touch(env.name)
            self._entries[env.name] = _Entry(env, old.source)
            if isinstance(env, TaskEnvironment):
                for task in list(tasks_of(old.env).values()):
                    rebind(task, env)
            if self._cell is None:
                self._tell(self._compare({env.name: before}, []))

    def binding(self, env: Environment, task: TaskTemplate) -> None:
        """Take in a task about to be bound; it belongs to the newest declaration of its environment.

        Raises
        ------
        DeclarationValueError
            For a second function of one name in one file or one run of a cell: only one of them would be left.
        """
        with self._lock:
            self._refuse_second(env, task)
            before = self._touch(env.name)
            newest = self.newest(env)
            if newest is not env and isinstance(newest, TaskEnvironment):
                rebind(task, newest)
            if self._cell is not None:
                self._note_rebinding(task, before)
                self._cell.bound.add(task.name)
                self._cell.task_sources.setdefault(task.name, self._task_sources.get(task.name))
                self._task_sources[task.name] = self._cell.source

    def _refuse_second(self, env: Environment, task: TaskTemplate) -> None:
        first = tasks_of(env).get(task.name)
        if first is None or first.place.file != task.place.file or first.place.line == task.place.line:
            return
        if getattr(first, "func", None) is getattr(task, "func", self):
            return  # the same function, bound with other settings
        again = task.name in self._cell.bound if self._cell is not None else not first.place.file.startswith("<")
        if again:
            function = task.name.rpartition(".")[2]
            raise refuse(env, "task", function, "one function of a name", f"it is bound at {first.place} already")

    def depending(self, env: Environment) -> None:
        """Take in that an environment is about to get further dependencies."""
        with self._lock:
            self._touch(env.name)

    # --- the cell: a transaction ---

    def begin(self, source: Source) -> None:
        """Start the transaction of a cell."""
        self._cell = _Transaction(source, self.values())

    def commit(self) -> Changes:
        """End the cell's transaction: withdraw what it no longer declares, and give what it changed."""
        with self._lock:
            cell, self._cell = self._cell, None
            if cell is None:
                return Changes()
            self._withdraw(cell)
            changes = self._compare(cell.before, cell.notices)
        self._tell(changes)
        return changes

    def rollback(self) -> None:
        """End the transaction of a cell that failed: everything is as it was before it."""
        with self._lock:
            cell, self._cell = self._cell, None
            if cell is None:
                return
            for values in cell.values:
                values.put_back()
            for name, before in cell.before.items():
                self._restore(name, before)
            for name, source in cell.task_sources.items():
                if source is None:
                    self._task_sources.pop(name, None)
                else:
                    self._task_sources[name] = source

    def _restore(self, name: str, before: _Before) -> None:
        if before.entry is None:
            self._entries.pop(name, None)
            return
        self._entries[name] = before.entry
        env = before.entry.env
        env.depends_on[:] = before.depends_on
        if isinstance(env, TaskEnvironment):
            env.tasks.clear()
            for task in before.tasks.values():
                rebind(task, env)

    def _touch(self, name: str) -> _Before:
        """Remember what a name stood for, once a cell."""
        if self._cell is None:
            return _Before.of(self._entries.get(name))
        if name not in self._cell.before:
            self._cell.before[name] = _Before.of(self._entries.get(name))
        return self._cell.before[name]

    def _source_of_place(self, env: Environment) -> Source:
        """Give where a declaration comes from: a module that is being imported, else the cell that runs."""
        imported = env.place.at_import and not env.place.in_cell
        if self._cell is not None and not imported:
            return self._cell.source
        return Source(env.place.file, str(env.place))

    def _adopt(self, old: _Entry, env: Environment, source: Source) -> None:
        """Carry the tasks of other cells over to the newer declaration of their environment."""
        if not isinstance(env, TaskEnvironment):
            return
        for task in list(tasks_of(old.env).values()):
            if self._task_sources.get(task.name) not in (None, source) and task.name not in env.tasks:
                rebind(task, env)

    def _note_rebinding(self, task: TaskTemplate, before: _Before) -> None:
        assert self._cell is not None
        old, new = self._task_sources.get(task.name), self._cell.source
        if old is not None and old != new and task.name in before.tasks:
            self._cell.notices.append(f"task {task.name!r} of {old.label} is replaced by the one in {new.label}")

    def _withdraw(self, cell: _Transaction) -> None:
        for name, entry in list(self._entries.items()):
            if entry.source == cell.source and name not in cell.declared:
                self._touch_late(cell, name)
                del self._entries[name]
        for name, source in list(self._task_sources.items()):
            if source == cell.source and name not in cell.bound:
                del self._task_sources[name]
                env = self._entries.get(name.rpartition(".")[0])
                if env is not None and name in tasks_of(env.env):
                    self._touch_late(cell, env.env.name)
                    del tasks_of(env.env)[name]
        for name in cell.declared:
            old, new = cell.before[name].entry, self._entries[name].source
            if old is not None and old.source != new:
                cell.notices.insert(
                    0, f"environment {name!r} of {old.source.label} is replaced by the one in {new.label}"
                )

    def _touch_late(self, cell: _Transaction, name: str) -> None:
        cell.before.setdefault(name, _Before.of(self._entries.get(name)))

    # --- what changed ---

    def _compare(self, before: Mapping[str, _Before], notices: list[str]) -> Changes:
        changes = Changes(notices=notices)
        for name, was in before.items():
            now = self._entries.get(name)
            if was.entry is None and now is not None:
                changes.added.append(now.env)
            elif was.entry is not None and now is None:
                changes.withdrawn.append(was.entry.env)
            elif was.entry is not None and now is not None:
                change = _changed(was, now.env)
                if change:
                    changes.changed.append(change)
                else:
                    changes.same.append(now.env)
        return changes

    def _tell(self, changes: Changes) -> None:
        if changes:
            for callback in list(self._observers):
                callback(changes)


def _changed(was: _Before, now: Environment) -> EnvironmentChange:
    assert was.entry is not None
    old, new = was.tasks, tasks_of(now)
    fields = [] if was.entry.env is now else was.entry.env.diff(now)
    before, after = [e.name for e in was.depends_on], [e.name for e in now.depends_on]
    fields = [change for change in fields if change.field != "depends_on"]
    if before != after:
        fields.append(Change("depends_on", before, after))
    return EnvironmentChange(
        env=now,
        fields=fields,
        tasks_added=[name for name in new if name not in old],
        tasks_changed=[name for name in new if name in old and not same_task(old[name], new[name])],
        tasks_withdrawn=[name for name in old if name not in new],
    )


#: what is declared in this process; a worker's process has nothing listening
process_registry = Registry()
