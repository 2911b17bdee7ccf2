"""Plans: what deploying would do as a card, a diff and folds — what changes first, what is usual folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from flyte_nb.plan.diff import FieldChange, TaskChange
from flyte_nb.plan.preview import Plan, PlannedChange
from flyte_nb.views import Card, Diff, Fold, Stack, Table, Text, View, bullet, told_size

__all__ = ["plan"]

_MOST_NAMES = 8  # in one line
_MOST_LINES = 16  # of one environment
_SIGNS = {"is new": "+", "is gone": "-"}
_Line = tuple[str, str, str]


def plan(made: Plan) -> View:
    """Show a plan."""
    changes = [line for change in made.changes if change.what != "same" for line in _change(change)]
    views: list[View] = [_head(made)]
    if changes:
        views.append(Diff(changes))
    if made.notices:
        views.append(Diff([("!", notice, "") for notice in made.notices]))
    same = [f"{change.environment}  at {change.version}" for change in made.changes if change.what == "same"]
    if same:
        views.append(Fold(f"= {len(same):,} unchanged", Text("\n".join(bullet(same)))))
    return Stack([*views, *_contents(made)])


def _head(made: Plan) -> Card:
    words = {"create": "to create", "update": "to update", "same": "unchanged"}
    strip = [f"{count:,} {words[what]}" for what, count in made.counts.items() if count]
    rows = [("version", made.version, "" if made else "nothing would be deployed"), ("digest", made.digest[:12], "")]
    if len(made.waves) > 1:
        rows.append(("order", _order(made), "what stands between two arrows is applied at the same time"))
    if len(made.groups) > 1:
        rows.append(("groups", f"{len(made.groups):,}", "each is deployed as a whole or not at all"))
    rows.append(("bundle", told_size(made.size), f"{len(made.files):,} file{'s' if len(made.files) != 1 else ''}"))
    return Card(title="plan", kind="deployment", strip=strip or ["nothing to do"], rows=rows)


def _order(made: Plan) -> str:
    waves = [", ".join(bullet(wave, 4)) for wave in made.waves]
    if len(waves) > _MOST_NAMES:
        waves = [*waves[: _MOST_NAMES - 2], f"… {len(waves) - _MOST_NAMES + 1:,} more layers", waves[-1]]
    return " → ".join(waves)


def _change(change: PlannedChange) -> list[_Line]:
    """Word what would happen with one environment, a line for each thing."""
    if change.what == "create":
        tasks = ", ".join(bullet((name.rpartition(".")[2] for name in change.has_tasks), _MOST_NAMES)) or "no tasks"
        return [("+", change.environment, f"create {change.kind} at {change.version}: {tasks}")]
    to = f"{change.deployed} → {change.version}"
    lines = [("~", change.environment, f"update {change.kind}, {to}{f': {change.note}' if change.note else ''}")]
    details = list(_details(change))
    more = len(details) - _MOST_LINES
    return [*lines, *details[:_MOST_LINES], *([("…", f"{change.environment}: {more:,} more", "")] if more > 0 else [])]


def _details(change: PlannedChange) -> Iterator[_Line]:
    yield from (_field(change.environment, field) for field in change.fields)
    for task in change.tasks:
        yield _task(task)
        yield from (_field(task.task, field) for field in task.fields)
    for name in change.names:
        yield _SIGNS.get(name.what, "~"), f"{change.environment}  reads {name.name}", name.what
    for file in change.files:
        yield _SIGNS.get(file.what, "~"), f"{change.environment}  file {file.name}", file.what


def _field(owner: str, field: FieldChange) -> _Line:
    return field.sign, f"{owner}.{field.field}", f"{field.before or 'default'} → {field.after or 'default'}"


def _task(task: TaskChange) -> _Line:
    sign = {"added": "+", "withdrawn": "-"}.get(task.what, "~")
    names = [_name(task.task, str(name)) for name in task.names]
    told = f": {', '.join(bullet(names, _MOST_NAMES))}" if names else ""
    return sign, task.task, f"task {task.what}{told}"


def _name(task: str, told: str) -> str:
    own = task.rpartition(".")[2]
    return f"its own code{told.removeprefix(own)}" if told.startswith(f"{own} ") else told


def _contents(made: Plan) -> Iterator[View]:
    """Fold what travels and what it needs here."""
    if made.files:
        rows = [(file.path, told_size(file.size), file.why) for file in made.files]
        yield Fold(f"bundle: {_told(rows, 'file')}, {told_size(made.size)}", Table(("file", "size", "why"), rows))
    if made.images:
        images = [(one.image, one.state, _users(one.used_by)) for one in made.images]
        yield Fold(_told(images, "image"), Table(("image", "here", "for"), images))
    if made.secrets:
        secrets = [
            (
                f"{one.group}/{one.key}" if one.group else one.key,
                one.variable,
                one.source or "nowhere",
                _users(one.used_by),
            )
            for one in made.secrets
        ]
        missing = sum(not one.source for one in made.secrets)
        title = _told(secrets, "secret") + (f", {missing} nowhere" if missing else "")
        yield Fold(title, Table(("secret", "variable", "from", "for"), secrets), is_open=bool(missing))


def _told(rows: Sequence[object], what: str) -> str:
    return f"{len(rows):,} {what}{'s' if len(rows) != 1 else ''}"


def _users(names: Iterable[str]) -> str:
    return ", ".join(bullet(names, 4))
