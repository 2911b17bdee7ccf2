"""The actions of a run as a tree: who called whom, how each ended, how long it took."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

from flyte_nb.engine.base import Action

__all__ = ["tree"]

#: siblings of one task that are listed one by one; more of them are told together
MOST_ALIKE = 6
MOST_LINES = 60
#: of those that are told together, the failed ones that are listed as well
MOST_FAILED = 3


def tree(actions: list[Action]) -> list[str]:
    """Give the actions below the root of a run, a line each, children under their parents.

    Parameters
    ----------
    actions : list of Action
        The root first.

    Returns
    -------
    list of str
        At most 60 lines, each action with its id; many children of one task are told in one line, with how they ended.
    """
    children: defaultdict[str | None, list[Action]] = defaultdict(list)
    for action in actions[1:]:
        children[action.parent].append(action)
    lines: list[str] = []
    for line in _below(actions[0].id, children, ""):
        if len(lines) == MOST_LINES:
            return [*lines, f"… {len(actions) - 1:,} actions in all"]
        lines.append(line)
    return lines


def _below(parent: str, children: dict[str | None, list[Action]], indent: str) -> Iterator[str]:
    alike: dict[tuple[str, str], list[Action]] = {}
    for action in children.get(parent, []):
        alike.setdefault((action.group, action.task), []).append(action)
    for (group, task), found in alike.items():
        within = f"  in {group}" if group else ""
        if len(found) > MOST_ALIKE:
            yield f"{indent}{task} x {len(found):,}{within}  {_ends(found)}"
            failed = [action for action in found if action.error]
            yield from (f"{indent}  {action.id}  {_end(action)}" for action in failed[:MOST_FAILED])
            continue
        for action in found:
            yield f"{indent}{action.id}  {task}{within}  {_end(action)}"
            yield from _below(action.id, children, indent + "  ")


def _ends(found: list[Action]) -> str:
    ends = Counter("cached" if action.cached else action.phase.value for action in found)
    taken = sum((action.duration or timedelta() for action in found), timedelta())
    return f"{', '.join(f'{count:,} {end}' for end, count in ends.most_common())}  {told(taken)} in all"


def _end(action: Action) -> str:
    more = [
        "kept outputs" if action.cached else "",
        f"attempt {action.attempt + 1}" if action.attempt else "",
        action.error.partition("\n")[0][:80] if action.error else "",
    ]
    return "  ".join(filter(None, (action.phase.value, told(action.duration), *more)))


def told(duration: timedelta | None) -> str:
    """Word a duration: milliseconds below a second, then seconds, then minutes."""
    if duration is None:
        return ""
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
