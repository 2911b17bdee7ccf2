import html
import json
import re
from html.parser import HTMLParser

import pytest
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.registry import Registry, Source
from flyte_nb.views import LONGEST_TEXT, MOST_ROWS, Card, Diff, Stack, Table, Text, bullet, escape
from flyte_nb.widgets import environments as cards
from hypothesis import given
from hypothesis import strategies as st

VOID = {"br", "hr", "img", "input"}
HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="x',
    "</td></table>",
    "&lt;b&gt;",
    "\x1b[2J",
    "\u202egnp.exe",
    "\ud800",
]


class Checked(HTMLParser):
    """Reads HTML, insisting that every tag is closed, and keeps what is shown and every attribute's name."""

    def __init__(self, text):
        super().__init__()
        self.open, self.shown, self.attributes, self.tags = [], [], set(), set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.shown.append(data)


def views_of(text):
    return [
        Table((text, "b"), [(text, text)], text),
        Card(text, text, [text], [(text, text, text)], [(text, [text])]),
        Diff([("+", text, text), (text, text, "")]),
        Stack([Text(text), Diff([("!", text, "")])]),
        Text(text),
    ]


def check(view):
    found = Checked(view.html())
    assert found.attributes <= {"style", "scope"}
    assert not found.tags & {"script", "img", "iframe", "object", "a", "link", "style"}
    for form in (view.html(), view.text(), str(view), repr(view)):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", form)
        form.encode()
    assert view._repr_mimebundle_() == {"text/plain": view.text(), "text/html": view.html()}
    json.dumps(view._repr_mimebundle_())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(text):
    for view in views_of(text):
        check(view)


@given(st.text(alphabet=st.characters(), max_size=80))
def test_any_text_is_safe_in_every_view(text):
    for view in views_of(text):
        check(view)


@given(st.text(max_size=60))
def test_escaping_loses_nothing_that_can_be_seen(text):
    visible = "".join(c for c in text if c.isprintable())
    assert visible in html.unescape(escape(visible))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a<b & 'c'", "a&lt;b &amp; &#x27;c&#x27;"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202e", "\\u202e"),
        ("\ud83d", "\\ud83d"),
        ("👩\u200d🔬 é ü", "👩\u200d🔬 é ü"),
        (3, "3"),
    ],
)
def test_escape(text, shown):
    assert escape(text) == shown


def test_long_text_is_cut():
    text = escape("x" * 1_000_000)
    assert len(text) < LONGEST_TEXT + 50
    assert text.endswith("… (1,000,000 characters)")


# --- each view ---


def test_a_table_is_aligned():
    assert Table(("name", "n"), [("a", "1"), ("long one", "22")], "title").text() == "\n".join(
        ["title", "name      n", "a         1", "long one  22"]
    )
    assert Table((), [("a", "b")]).text() == "a  b"
    assert Table((), []).text() == ""
    assert Table(("a", "b"), []).text() == "a  b"


def test_a_table_takes_uneven_rows_and_keeps_each_on_a_line():
    assert Table(("a", "b"), [("1",), ("2", "x\ny", "z")]).text().split("\n") == ["a  b", "1", "2  x\\ny  z"]


def test_a_table_is_bounded():
    table = Table(("a",), [(f"row {n}",) for n in range(1_000)])
    assert table.text().endswith(f"… and {1_000 - MOST_ROWS} more")
    assert "… and 950 more" in table.html()
    assert "row 50" not in table.html()
    assert "more" not in Table(("a",), [("x",)] * MOST_ROWS).text()


def test_a_card():
    card = Card(
        "train", "TaskEnvironment", ["stale"], [("cpu", "2", "default"), ("memory", "4Gi", "")], [("tasks", ["f()"])]
    )
    assert card.text().split("\n") == [
        "train  (TaskEnvironment, stale)",
        "  cpu     2  (default)",
        "  memory  4Gi",
        "  tasks:",
        "    f()",
    ]
    assert all(word in card.html() for word in ("train", "stale", "default", "4Gi", "f()"))


def test_a_card_is_small_and_bounded():
    many = [(f"field {n}", "<x>" * 1_000, "note") for n in range(1_000)]
    card = Card("t" * 10_000, "k", ["s"] * 3, many, [("tasks", ["f" * 10_000] * 1_000)])
    assert (
        len(Card("t", "k", ["s"] * 3, [("a", "b", "c")] * 20, [("tasks", ["f(x: int) -> int"] * 20)]).html()) < 20_000
    )
    assert len(card.html()) < 250_000
    assert "and 950 more" in card.text()
    assert card.html().count("and 950 more") == 2


def test_a_diff_says_in_signs_what_it_says_in_colour():
    diff = Diff([("+", "a", "added"), ("~", "b.x", "1 → 2"), ("-", "c", "withdrawn"), ("!", "notice", "")])
    assert diff.text() == "+ a  added\n~ b.x  1 → 2\n- c  withdrawn\n! notice"
    shown = "".join(Checked(diff.html()).shown)
    assert all(sign in shown for sign in "+~-!")


def test_a_diff_is_bounded():
    diff = Diff([("+", f"env-{n}", "added") for n in range(1_000)])
    assert diff.text().split("\n")[-1] == "… and 950 more"
    assert len(diff.html()) < 20_000


def test_a_stack_and_text():
    stack = Stack([Text("a <b>"), Diff([("+", "c", "")])])
    assert stack.text() == "a <b>\n+ c"
    assert "a &lt;b&gt;" in stack.html()
    assert Stack([]).text() == ""


def test_bullet():
    assert bullet(["a", "b"], 2) == ["a", "b"]
    assert bullet((str(n) for n in range(1_234)), 1) == ["0", "… and 1,233 more"]
    assert bullet([]) == []


def test_colours_come_from_the_theme():
    page = "".join(view.html() for view in views_of("x"))
    assert not re.search(r"color:\s*(#|rgb|[a-z]+[;\"])", page.replace("color:inherit", ""))
    assert "http" not in page


# --- of environments ---


@pytest.fixture
def registry():
    made = Registry()
    before = listen(made)
    yield made
    listen(before)


def test_an_environment_as_a_card(registry):
    env = TaskEnvironment("e", env_vars={"API_TOKEN": "hunter2", "LEVEL": "<info>"}, depends_on=[Environment("base")])

    @env.task
    def f(x: int = 1) -> str: ...

    card = cards.environment(env, ["deployed at 1f3a"])
    assert "f(x: int = 1) -> str" in card.text()
    assert "depends_on  base" in card.text()
    assert "deployed at 1f3a" in card.text()
    assert "&lt;info&gt;" in card.html()
    assert "hunter2" not in card.html() + card.text()


def test_the_card_of_a_clone_tells_what_it_inherits(registry):
    clone = TaskEnvironment("e", env_vars={"LEVEL": "info"}, description="d").clone_with("f", description="other")
    lines = [" ".join(line.split()) for line in cards.environment(clone).text().splitlines()]
    assert "env_vars {'LEVEL': 'info'} (inherited from e)" in lines
    assert "description 'other'" in lines


def test_a_registry_of_a_thousand_is_bounded(registry):
    for number in range(1_000):
        Environment(f"e{number}")
    view = cards.environments(registry)
    assert len(view.html()) < 60_000
    assert "and 950 more" in view.text()


def test_no_environment_says_what_to_do():
    assert "%%flyte" in cards.environments(Registry()).text()


def test_what_a_cell_changed(registry):
    source = Source("c", "In [1]", is_cell=True)
    registry.begin(source)
    TaskEnvironment("gone")
    env = TaskEnvironment("kept", env_vars={"PASSWORD": "old-one"})
    added = cards.changes(registry.commit())
    assert added.text().startswith("+ gone  added TaskEnvironment\n+ kept  added TaskEnvironment")
    registry.begin(source)
    env = TaskEnvironment("kept", env_vars={"PASSWORD": "new-one"}, interruptible=True)
    env.task(lambda: None)
    text = cards.changes(registry.commit(), cards=False).text()
    assert "~ kept.interruptible  changed: False → True" in text
    assert "+ kept.<lambda>  task added" in text
    assert "- gone  withdrawn: the cell no longer declares it" in text
    assert "new-one" not in text
    assert "old-one" not in text


def test_a_cell_that_changed_nothing(registry):
    for _ in range(2):
        registry.begin(Source("c", "In [1]", is_cell=True))
        Environment("e")
        made = registry.commit()
    assert cards.changes(made).text() == "= e  unchanged"


def test_a_thousand_changes_are_bounded(registry):
    registry.begin(Source("c", "In [1]", is_cell=True))
    for number in range(1_000):
        Environment(f"e{number}")
    assert len(cards.changes(registry.commit()).html()) < 40_000


def styles(view, tag):
    return re.findall(rf"<{tag}[^>]*style=\"([^\"]*)\"", view.html())


def test_short_cells_and_labels_stay_on_one_line_and_words_are_not_broken():
    words, word = "it ran out of memory, so ask for more of it", "w" * 200
    table = Table(("phase", "", "text"), [("succeeded", words, word)])
    assert all("white-space:nowrap" in style for style in styles(table, "th"))
    short, sentence, long = styles(table, "td")
    assert "nowrap" in short
    assert "overflow-wrap:break-word" in sentence
    assert "overflow-wrap:anywhere" in long
    assert "nowrap" in styles(Card("t", "k", rows=[("description", word, "")]), "th")[0]


def test_a_state_that_is_not_known_yet_leaves_no_gap():
    card = Card("run-1", "e.t", ["queued", ""])
    assert card.text() == "run-1  (e.t, queued)"
    assert card.html().count("<span") == 2


def test_a_border_needs_no_variable_of_a_theme() -> None:
    """A notebook that is not trusted keeps the declarations without one only."""
    kept = [part for part in Card("a", "k").html().split(";") if "var(" not in part]
    assert any("border:1px solid #" in part for part in kept)
