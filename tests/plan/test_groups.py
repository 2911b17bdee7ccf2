"""Groups: environments that depend on each other."""

from __future__ import annotations

from typing import Any

from flyte_nb.plan.groups import groups
from hypothesis import given
from hypothesis import strategies as st


def row(name: str, *needs: str) -> dict[str, Any]:
    return {"environment": name, "declaration": {"depends_on": list(needs)}}


def test_what_depends_on_each_other_is_together() -> None:
    rows = [row("a"), row("b", "a"), row("c"), row("d", "a"), row("e", "c"), row("f")]
    assert groups(rows) == [["a", "b", "d"], ["c", "e"], ["f"]]
    assert groups([]) == []
    assert groups([{"environment": "x", "declaration": {}}, row("y", "elsewhere")]) == [["x"], ["y"]]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=40))
def test_groups_are_what_can_be_reached(edges: list[tuple[int, int]]) -> None:
    needs: dict[str, list[str]] = {str(n): [] for n in range(21)}
    for one, other in edges:
        needs[str(one)].append(str(other))
    found = groups([row(name, *needed) for name, needed in needs.items()])
    assert sorted(name for group in found for name in group) == sorted(needs)
    of = {name: index for index, group in enumerate(found) for name in group}
    assert all(of[name] == of[other] for name, needed in needs.items() for other in needed)
    assert all(_connected(group, needs) for group in found)


def _connected(group: list[str], needs: dict[str, list[str]]) -> bool:
    met, waiting = {group[0]}, [group[0]]
    while waiting:
        name = waiting.pop()
        near = {other for other in group if other in needs[name] or name in needs[other]} - met
        met |= near
        waiting += near
    return met == set(group)


def test_a_long_chain_costs_no_more_than_its_length() -> None:
    rows = [row(str(n), *([str(n - 1)] if n else [])) for n in range(50_000)]
    assert len(groups(rows)) == 1
