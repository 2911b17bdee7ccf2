import itertools
import random

import pytest
from flyte_nb.environments.base import Environment, listen
from flyte_nb.errors import DeploymentError
from flyte_nb.plan.graph import graph_of, order
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(autouse=True, scope="module")
def nobody_listens():
    before = listen(None)
    yield
    listen(before)


def chain(count, name="e{:06}"):
    """Make ``count`` environments, each of which depends on the one before it."""
    made = [Environment(name.format(0))]
    for number in range(1, count):
        made.append(Environment(name.format(number), depends_on=[made[-1]]))
    return made


def names(environments):
    return [env.name for env in environments]


def test_dependencies_come_first_and_once():
    base = Environment("base")
    left, right = Environment("left", depends_on=[base]), Environment("right", depends_on=[base, base])
    top = Environment("top", depends_on=[right, left])
    assert names(order([top])) in (["base", "left", "right", "top"], ["base", "right", "left", "top"])
    assert names(order([base, top, base])) == names(order([top]))
    assert order([]) == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_graph_is_ordered_and_whatever_the_order_of_the_roots_the_same(data):
    made = []
    for number in range(data.draw(st.integers(1, 12))):
        needed = data.draw(st.lists(st.sampled_from(made), unique_by=id)) if made else []
        made.append(Environment(f"e{number}", depends_on=needed))
    ordered = order(made)
    assert {e.name for e in ordered} == {e.name for e in made}
    place = {env.name: index for index, env in enumerate(ordered)}
    assert all(place[needed.name] < place[env.name] for env in made for needed in env.depends_on)
    shuffled = random.Random(1).sample(made, len(made))
    assert names(order(shuffled)) == names(ordered)


def test_the_newest_of_a_name_counts():
    stale = Environment("base")
    newest = Environment("base", depends_on=[Environment("root")])
    top = Environment("top", depends_on=[stale])
    ordered = order([top], lambda env: newest if env.name == "base" else env)
    assert names(ordered) == ["root", "base", "top"]
    assert ordered[1] is newest


def circle(count):
    made = chain(count)
    made[0].add_dependency(made[-1])
    return made


def test_a_cycle_is_told_with_its_path_and_places():
    with pytest.raises(DeploymentError) as caught:
        order(circle(3))
    text = str(caught.value)
    assert "in a circle: " in text
    path = text.split("circle: ")[1].split(". Take")[0].split(" → ")
    assert path[0] == path[-1]
    assert set(path) == {"e000000", "e000001", "e000002"}
    for one, needed in itertools.pairwise(path):
        assert (int(one[1:]) - int(needed[1:])) % 3 == 1  # each depends on the next one
    assert text.count("test_graph.py, line") == 3


def test_an_environment_that_depends_on_its_former_self():
    old = Environment("e")
    new = Environment("e", depends_on=[old])
    with pytest.raises(DeploymentError, match="circle: e → e"):
        order([new], lambda env: new)


def test_a_huge_cycle_is_told_in_a_few_words():
    with pytest.raises(DeploymentError, match=r"… 990 more → e") as caught:
        order(circle(1_000))
    assert len(str(caught.value)) < 3_000


@pytest.fixture(scope="module")
def long_chain():
    return chain(100_000)


def test_a_chain_of_a_hundred_thousand(long_chain):
    ordered = order([long_chain[-1]])
    assert ordered[0].name == "e000000"
    assert len(ordered) == 100_000


def test_a_ladder_of_a_thousand_layers():
    layer = [Environment("l0000-a"), Environment("l0000-b")]
    for number in range(1, 1_000):
        layer = [Environment(f"l{number:04}-{side}", depends_on=list(layer)) for side in "ab"]
    ordered = order(layer)
    assert len(ordered) == 2_000
    assert {env.name[:5] for env in ordered[:2]} == {"l0000"}


def test_what_can_be_applied_at_the_same_time_is_a_wave():
    base, other = Environment("base"), Environment("other")
    left, right = Environment("left", depends_on=[base]), Environment("right", depends_on=[base, other])
    graph = graph_of([Environment("top", depends_on=[left, right])])
    assert graph.waves == (("base", "other"), ("left", "right"), ("top",))
    assert graph.needs["right"] == ("base", "other")
    assert graph_of([]).waves == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_any_graph_has_waves_or_a_circle(edges):
    made = [Environment(f"e{number}") for number in range(10)]
    for one, other in edges:
        if one != other:
            made[one].add_dependency(made[other])
    try:
        graph = graph_of(made)
    except DeploymentError as error:
        path = str(error).split("circle: ")[1].split(". Take")[0].split(" → ")
        assert path[0] == path[-1]
        pairs = {(f"e{one}", f"e{other}") for one, other in edges}
        assert all(pair in pairs for pair in itertools.pairwise(path))
        return
    wave_of = {name: index for index, wave in enumerate(graph.waves) for name in wave}
    assert sorted(wave_of) == sorted(graph.environments) == [env.name for env in made]
    assert sum(map(len, graph.waves)) == len(made)
    for env in made:  # as early as can be: right after the latest that it needs
        assert wave_of[env.name] == max((wave_of[needed.name] + 1 for needed in env.depends_on), default=0)


def test_two_environments_of_one_name():
    one, other = Environment("twin"), Environment("twin")
    left, right = Environment("left", depends_on=[one]), Environment("right", depends_on=[other])
    with pytest.raises(DeploymentError, match="two environments are named 'twin'") as caught:
        graph_of([Environment("top", depends_on=[left, right])])
    text = str(caught.value)
    assert text.count("test_graph.py, line") == 2
    assert "top → left → twin and top → right → twin" in text
    with pytest.raises(DeploymentError, match=r"reached by twin and twin\)"):
        graph_of([one, other])


def test_a_dependency_that_was_withdrawn():
    top = Environment("top", depends_on=[Environment("gone")])
    with pytest.raises(DeploymentError, match=r"'top' .* depends on 'gone', which is not declared any more") as caught:
        graph_of([top], is_alive=lambda name: name == "top")
    assert str(caught.value).count("test_graph.py, line") == 2
