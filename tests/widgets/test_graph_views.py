from xml.etree import ElementTree

import pytest
from flyte_nb.environments.base import Environment, listen
from flyte_nb.plan.diff import FieldChange, NameChange, TaskChange
from flyte_nb.plan.graph import graph_of
from flyte_nb.plan.preview import Plan, PlannedChange
from flyte_nb.widgets.graph import graph, states


@pytest.fixture(autouse=True)
def nobody_listens():
    before = listen(None)
    yield
    listen(before)


def small():
    base = Environment("base")
    return graph_of([Environment("top", depends_on=[base, Environment("side")])])


def svg_of(html):
    return ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])


def test_each_box_has_its_state_in_words():
    view = graph(small(), {"base": "deployed at 1f3a", "top": "changed"})
    assert view.text().splitlines() == [
        "layer  environment  state               depends on",
        "1      base         = deployed at 1f3a",
        "1      side         + declared",
        "2      top          ~ changed           base, side",
    ]
    svg = svg_of(view.html())
    told = ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert told == ["base", "= deployed at 1f3a", "side", "+ declared", "top", "~ changed"]
    assert "var(--jp-warn-color1" in view.html()
    assert "max-width:none" in svg.attrib["style"]  # JupyterLab would shrink a wide one until nobody can read it


def test_a_text_that_looks_like_markup_is_escaped():
    view = graph(small(), {"base": "<script>alert(1)</script>"}, ["<b>"])
    assert "<script>" not in view.html()
    assert "<b>" not in view.html()
    assert view.text().startswith("! <b>")
    svg_of(view.html())


def test_nothing_declared():
    assert "no environment is declared" in graph(graph_of([]), {}).text()


def test_a_large_graph_is_shown_by_its_layers():
    base = [Environment(f"base-{n}") for n in range(1_000)]
    top = [Environment(f"top-{n}", depends_on=base[n : n + 2]) for n in range(500)]
    view = graph(graph_of([*base, *top]), {"base-1": "changed", "top-0": "deployed at v1"})
    assert len(view.html()) < 20_000
    assert len(view.text()) < 2_000
    assert "1,500 environments in 2 layers" in view.text()
    assert "layer 1: 1,000 environments  changed 1, declared 999" in view.text()
    assert view.html().count("<details") == 2


def test_a_deep_graph_is_cut_in_the_middle():
    made = [Environment("e0")]
    for n in range(1, 1_000):
        made.append(Environment(f"e{n}", depends_on=[made[-1]]))
    view = graph(graph_of(made), {})
    assert len(view.html()) < 60_000
    lines = view.text().splitlines()
    assert len(lines) == 22
    assert lines[12].startswith("… 981 more layers")
    assert lines[-1].startswith("layer 1000: e999")


def test_how_an_environment_stands():
    other = TaskChange("e.f", "changed", (NameChange("helper", "changed"),))
    own = TaskChange("e.f", "changed", (NameChange("f", "changed"), NameChange("helper", "changed")))
    changes = [
        PlannedChange("new", "E", "create", "v2"),
        PlannedChange("same", "E", "same", "v1", "v1"),
        PlannedChange("field", "E", "update", "v2", "v1", fields=(FieldChange("cpu", "1", "2"),)),
        PlannedChange("task", "E", "update", "v2", "v1", tasks=(own,)),
        PlannedChange("helper", "E", "update", "v2", "v1", tasks=(other,)),
        PlannedChange("file", "E", "update", "v2", "v1", files=(NameChange("a.html", "changed"),)),
        PlannedChange("added", "E", "update", "v2", "v1", tasks=(TaskChange("e.g", "added"),)),
    ]
    assert states(Plan("v2", "d", changes=tuple(changes))) == {
        "new": "declared",
        "same": "deployed at v1",
        "field": "changed",
        "task": "changed",
        "helper": "out of date",
        "file": "out of date",
        "added": "changed",
    }


def test_a_box_is_as_wide_as_its_texts_need():
    def widest(*names):
        svg = svg_of(graph(graph_of([Environment(name) for name in names]), {}).html())
        return max(int(rect.attrib["width"]) for rect in svg.iter("{http://www.w3.org/2000/svg}rect"))

    assert widest("a") < widest("a", "twenty-characters-ab") < widest("a-name-of-30-characters-or-more")
    assert widest("a" * 28) == widest("a" * 63)
