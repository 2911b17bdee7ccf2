"""Families: the actions of a run by who called them, in numbers that are kept up to date action by action."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from flyte_nb.engine.base import Action, Phase
from flyte_nb.widgets.timeline import Busy
from flyte_nb.widgets.tree import MOST_ALIKE

__all__ = ["Families", "Family", "Place", "state"]

#: the families of one place, by the group and the task
Place = dict[tuple[str, str], "Family"]


def state(action: Action) -> str:
    """Word where an action stands."""
    return "kept outputs" if action.cached else action.phase.value.replace("_", " ")


class Family:
    """Actions of one task that were called in one place, and what there is to tell of all of them.

    Parameters
    ----------
    group, task : str
        The group they were called in, and the task.
    """

    def __init__(self, group: str, task: str) -> None:
        self.group, self.task = group, task
        self.members: dict[str, Action] = {}
        #: how many there are, by where they stand
        self.counts: Counter[str] = Counter()
        #: those that run, and those that failed, in the order in which they did
        self.going: dict[str, None] = {}
        self.failed: dict[str, None] = {}
        self.retried = 0
        #: seconds that those which have ended took
        self.seconds = 0.0
        self.busy = Busy()
        #: what its members called, once they are told together
        self.below: Place = {}

    @property
    def is_many(self) -> bool:
        """Whether its members are told together."""
        return len(self.members) > MOST_ALIKE

    def put(self, action: Action) -> None:
        """Take an action as it is now."""
        before = self.members.get(action.id)
        if before is not None:
            self._count(before, -1)
        self.members[action.id] = action
        self._count(action, 1)

    def _count(self, action: Action, sign: int) -> None:
        self.counts[state(action)] += sign
        self.retried += sign * (action.attempt > 0)
        if action.started is not None and action.ended is not None:
            start, end = action.started.timestamp(), action.ended.timestamp()
            self.seconds += sign * max(end - start, 0.0)
            self.busy.add(start, max(end, start), sign)
        _note(self.going, action.id, sign > 0 and action.phase is Phase.RUNNING)
        _note(self.failed, action.id, sign > 0 and action.phase.is_terminal and action.phase is not Phase.SUCCEEDED)


def _note(among: dict[str, None], number: str, is_one: bool) -> None:
    if is_one:
        among[number] = None
    else:
        among.pop(number, None)


class Families:
    """The actions of a run: few of one task in one place each on its own, many of them together.

    What those that are told together have called is told together too. Each action is put in its place in a time
    that does not depend on how many there are.

    Parameters
    ----------
    actions : iterable of Action
        The root first; they are taken as they are now.
    """

    def __init__(self, actions: Iterable[Action]) -> None:
        first, *rest = actions
        self.root = first
        #: what the root's task called
        self.top: Place = {}
        #: what each action called that is told on its own
        self.own: dict[str, Place] = {}
        #: how many actions below the root there are, by where they stand
        self.counts: Counter[str] = Counter()
        self.retried = 0
        self._of: dict[str, Family] = {}
        for action in rest:
            self.put(action)

    def __len__(self) -> int:
        return len(self._of)

    def find(self, number: str) -> Action | None:
        """Give an action by its id."""
        if number == self.root.id:
            return self.root
        family = self._of.get(number)
        return None if family is None else family.members[number]

    def put(self, action: Action) -> None:
        """Take an action as it is now."""
        if action.id == self.root.id:
            self.root = action
            return
        family = self._of.get(action.id)
        if family is not None:
            before = family.members[action.id]
            self.counts[state(before)] -= 1
            self.retried -= before.attempt > 0
        else:
            family = self._place(action.parent).setdefault((action.group, action.task),
                                                           Family(action.group, action.task))  # fmt: skip
            self._of[action.id] = family
        self.counts[state(action)] += 1
        self.retried += action.attempt > 0
        was_many = family.is_many
        family.put(action)
        if family.is_many and not was_many:
            self._gather(family)

    def _place(self, parent: str | None) -> Place:
        """Give where what an action calls is told."""
        family = self._of.get(parent or "")
        if family is None:  # the root, or one that nobody has told of
            return self.top
        return family.below if family.is_many else self.own.setdefault(parent or "", {})

    def _gather(self, family: Family) -> None:
        """Tell together what the members of a family have called, which are told together now."""
        for number in family.members:
            self._merge(family.below, self.own.pop(number, {}))

    def _merge(self, into: Place, place: Place) -> None:
        for key, found in place.items():
            family = into.setdefault(key, Family(*key))
            for action in found.members.values():
                self._of[action.id] = family
                family.put(action)
            if family.is_many:
                self._gather(family)
                self._merge(family.below, found.below)
