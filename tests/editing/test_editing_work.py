"""The editor in this process: whatever is typed, undone and redone, its fields and its draft say the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb import session
from flyte_nb.app import AppEnvironment, Scaling
from flyte_nb.editing import Editor
from flyte_nb.errors import UsageTypeError
from flyte_nb.registry import process_registry
from flyte_nb.widgets.editor.inputs import Fixed
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module", autouse=True)
def _own_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(session, "_session", None)
        yield
        session.current_session().close()


@pytest.fixture
def editors() -> Iterator[list[Editor]]:
    opened: list[Editor] = []
    yield opened
    for editor in opened:
        editor.close()


def opened(env: Any, editors: list[Editor]) -> Editor:
    editor = flyte.edit(env)
    editors.append(editor)
    editor.widget()
    for fold in editor._folds.values():
        if not fold.is_open:
            fold.toggle()
    return editor


def task_env(name: str, **given: Any) -> flyte.TaskEnvironment:
    return flyte.TaskEnvironment(name, **{"resources": flyte.Resources(cpu=1, memory="1Gi"), **given})


def typed(editor: Editor, path: str, text: str) -> None:
    """Type a text into a field, as the front end tells it."""
    line = editor._lines[path]._input
    assert not isinstance(line, Fixed)
    first, *rest = line.widgets
    if type(first).__name__ == "Checkbox":
        first.value = text == "yes"
    elif rest and type(first).__name__ == "Text":
        first.value, _, rest[0].value = text.partition(":")
    else:
        first.value = text


def said(editor: Editor, path: str) -> str:
    """Give what is said beside a field."""
    line = editor._lines[path]._field._line
    return "" if line is None else str(line.value)


def check_agreement(editor: Editor) -> None:
    """Insist that each field says what the draft does, or that it is told why not."""
    edited = editor._work.look()
    for path, line in editor._lines.items():
        state = edited.fields[path]
        shown = line._input
        if path in editor._pending:
            assert "! " in said(editor, path)
        elif isinstance(shown, Fixed):
            assert state.told
        else:
            values = editor._work._fields[path].change(editor.draft.proposed, shown.text)
            again = flyte.draft(editor.draft.env).update(**editor.draft._given).update(**values)
            assert again.proposed.diff(editor.draft.proposed) == [], path
            assert ("~ was" in said(editor, path)) == (state.was is not None and not state.notice), path


TEXTS = {
    "resources.cpu": ["1", "2", "2:4", "two", "", "500m"],
    "resources.memory": ["1Gi", "4", "4Gi", "4Gi:2Gi", ""],
    "resources.disk": ["1Gi", "x", ""],
    "image": ["auto", "python:3.12", "debian", ""],
    "image.packages": ["pandas", "pandas\nnumpy", ""],
    "cache.max_age": ["5m", "soon", ""],
    "reusable": ["yes", "no"],
    "reusable.replicas": ["1:4", "4:1", "2", ""],
    "include": ["a.py", "../x", ""],
    "queue": ["fast", ""],
    "interruptible": ["yes", "no"],
}
actions = st.one_of(
    st.sampled_from([("undo", ""), ("redo", ""), ("back", ""), ("apply", "")]),
    *(st.tuples(st.just(path), st.sampled_from(texts)) for path, texts in TEXTS.items()),
)


@pytest.fixture(scope="module")
def shared_editor() -> Iterator[Editor]:
    editor = opened(task_env("wk-same"), [])
    yield editor
    editor.close()


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_fields_and_draft_say_the_same(shared_editor: Editor, data: st.DataObject) -> None:
    editor = shared_editor
    panel = editor._panel
    buttons = {"undo": panel._undo, "redo": panel._redo, "back": panel._discard, "apply": panel._apply}
    for what, text in data.draw(st.lists(actions, max_size=12)):
        if what in TEXTS:
            typed(editor, what, text)
        elif not buttons[what].disabled:
            buttons[what].click()
        check_agreement(editor)


def test_what_is_refused_stays_and_the_draft_keeps_the_last_good(editors: list[Editor]) -> None:
    editor = opened(task_env("wk-a"), editors)
    typed(editor, "resources.memory", "8Gi")
    typed(editor, "resources.memory", "8")
    assert editor.draft.get("resources.memory") == "8Gi"
    assert "! it would be 8 bytes; write the unit" in said(editor, "resources.memory")
    typed(editor, "queue", "fast")
    assert editor._lines["resources.memory"]._input.text == "8"  # type: ignore[union-attr]
    assert "! it would be 8 bytes" in said(editor, "resources.memory")
    editor._panel._apply.click()
    assert "not accepted; mend it" in editor._said
    assert process_registry["wk-a"].queue is None  # type: ignore[attr-defined]
    editor._panel._undo.click()
    assert editor._lines["resources.memory"]._input.text == "8Gi"  # type: ignore[union-attr]
    assert "~ was 1Gi" in said(editor, "resources.memory")
    editor._panel._apply.click()
    assert process_registry["wk-a"].queue == "fast"  # type: ignore[attr-defined]
    assert said(editor, "resources.memory") == ""
    check_agreement(editor)


def test_typing_a_word_is_one_step(editors: list[Editor]) -> None:
    editor = opened(task_env("wk-b"), editors)
    for text in ("f", "fa", "fast"):
        typed(editor, "queue", text)
    typed(editor, "description", "d")
    editor._panel._undo.click()
    assert (editor.draft.queue, editor.draft.description) == ("fast", None)
    editor._panel._undo.click()
    assert editor.draft.changes == []
    assert editor._panel._undo.disabled


def test_the_accelerator_is_picked(editors: list[Editor]) -> None:
    editor = opened(task_env("wk-c"), editors)
    device, count, cut = editor._lines["resources.gpu"]._input.widgets
    device.value = "A100"
    assert editor.draft.get("resources.gpu") == "A100:1"
    count.value = "4"
    assert editor.draft.get("resources.gpu") == "A100:4"
    cut.value = "1g.5gb"
    assert editor.draft.get("resources.gpu") == flyte.GPU("A100", 4, "1g.5gb")
    device.value = "T4"
    assert editor.draft.get("resources.gpu") == "T4:4"
    assert [value for _, value in cut.options] == ["whole"]
    device.value = "V5E"
    assert editor.draft.get("resources.gpu") == flyte.Device(4, "TPU", "V5E")
    device.value = "any GPU"
    assert editor.draft.get("resources.gpu") == 4
    device.value = "none"
    assert editor.draft.get("resources.gpu") is None
    editor.draft.set("resources.gpu", flyte.GPU("A100", 2, "7g.40gb"))
    assert (device.value, count.value, cut.value) == ("A100", "2", "7g.40gb")
    editor.draft.set("resources.gpu", "17")
    assert (device.value, count.value) == ("any GPU", "17")


def test_this_machine_is_told(editors: list[Editor]) -> None:
    editor = opened(task_env("wk-d"), editors)
    typed(editor, "resources.cpu", "4000")
    assert "! 4000 asked" in said(editor, "resources.cpu")
    assert "clamped" in said(editor, "resources.cpu")
    typed(editor, "resources.disk", "1Gi")
    assert "is not enforced on this machine" in said(editor, "resources.disk")


def test_what_code_changes_is_seen(editors: list[Editor]) -> None:
    editor = opened(task_env("wk-e"), editors)
    editor.draft.set("resources.cpu", (1, 2)).set("env_vars.LEVEL", "x")
    assert editor._lines["resources.cpu"]._input.text == "1:2"  # type: ignore[union-attr]
    assert list(editor._items["env_vars"]._rows) == ["LEVEL"]
    check_agreement(editor)


def test_an_app_has_its_own_sections(editors: list[Editor]) -> None:
    editor = opened(AppEnvironment("wk-app", scaling=Scaling(replicas=(0, 2))), editors)
    typed(editor, "scaling.replicas", "1:4")
    typed(editor, "scaling.metric", "requests per second")
    typed(editor, "scaling.target", "9")
    typed(editor, "port", "9000")
    typed(editor, "requires_auth", "no")
    typed(editor, "timeouts.request", "30s")
    app = editor.draft.proposed
    assert isinstance(app, AppEnvironment)
    assert (app.scaling.replicas, app.scaling.metric) == ((1, 4), Scaling.RequestRate(9))
    assert (app.get_port().port, app.requires_auth) == (9000, False)
    typed(editor, "port", "8012")
    assert "! reserved by the platform" in said(editor, "port")
    check_agreement(editor)


def test_files_are_listed(editors: list[Editor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / "b.csv").write_text("1")
    env = task_env("wk-files", include=("*.csv",))
    env.place = type(env.place)(str(tmp_path / "m.py"), 1)
    editor = opened(env, editors)
    assert "*.csv: 2 files" in editor._files.value
    assert "a.csv" in editor._files.value
    typed(editor, "include", "*.csv\nno.txt")
    assert "! environment &#x27;wk-files&#x27; includes &#x27;no.txt&#x27;, which is not in" in editor._files.value


def test_dependencies_and_secrets(editors: list[Editor], monkeypatch: pytest.MonkeyPatch) -> None:
    other = task_env("wk-other")
    monkeypatch.setenv("PRESENT_KEY", "value-of-it")
    editor = opened(task_env("wk-f", secrets="absent-key"), editors)
    items = editor._items["depends_on"]
    items._name.value = "wk-other"
    items._add()
    assert editor.draft.depends_on == [other]
    items._name.value = "wk-nowhere"
    items._add()
    assert "! no environment" in items._adding._line.value or "wk-nowhere" in items._adding._line.value
    assert items._name.value == "wk-nowhere"
    secrets = editor._items["secrets"]
    secrets._name.value = "present-key"
    secrets._add()
    assert editor.draft.secrets == ["absent-key", "present-key"]
    wait(lambda: "from environment variable PRESENT_KEY" in secrets._rows["present-key"].note)
    wait(lambda: "missing; %flyte secret set absent-key" in secrets._rows["absent-key"].note)
    secrets._rows["absent-key"].field.widget.children[1].click()
    assert editor.draft.secrets == ["present-key"]


def wait(until: Any) -> None:
    import time

    end = time.monotonic() + 30
    while not until():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_variables_that_look_secret_never_reach_a_widget(editors: list[Editor]) -> None:
    env = task_env("wk-g", env_vars={"API_KEY": "hunter2-a", "LEVEL": "info"}, image="https://me:hunter2-b@host/i")
    editor = opened(env, editors)
    items = editor._items["env_vars"]
    items._name.value = "DB_PASSWORD"
    assert items._value.disabled
    items._name.value = "OTHER"
    items._value.value = "sk-hunter2-c"
    assert items._value.value == ""
    assert "looks like a secret" in items._adding._line.value
    row = items._rows["LEVEL"]
    row._line.value = "sk-hunter2-d"
    assert row._line.value == ""
    assert editor.draft.get("env_vars.LEVEL") == "info"
    editor.draft.set("env_vars.LEVEL", "sk-hunter2-e").set("env_vars.API_KEY", "hunter2-f")
    assert "hunter2" not in every_state(editor._root)
    assert "hunter2" not in editor.text() + editor.html()
    assert isinstance(editor._lines["image"]._input, Fixed)
    editor.draft.set("image", "python:3.12")
    assert editor._lines["image"]._input.text == "python:3.12"  # type: ignore[union-attr]


def every_state(widget: Any) -> str:
    found = [str(widget.get_state())]
    return "\n".join([*found, *(every_state(child) for child in getattr(widget, "children", ()))])


def test_hostile_names_and_values_are_inert(editors: list[Editor]) -> None:
    hostile = "<script>alert(1)</script></textarea>\u202e\x01"
    env = task_env("wk-h", env_vars={"A": hostile}, description=hostile, queue="q" * 1_000_000)
    editor = opened(env, editors)
    typed(editor, "service_account", hostile)
    htmls = [w for w in widgets_of(editor._root) if type(w).__name__ == "HTML"]
    row = editor._items["env_vars"]._rows["A"]
    assert row._line.value == hostile  # nothing of it is lost, and what is not seen of it is told beside it
    assert "! it reads &lt;script&gt;alert(1)&lt;/script&gt;&lt;/textarea&gt;\\u202e\\x01" in row.field._line.value
    assert all("<script>" not in w.value and "\u202e" not in w.value for w in htmls)
    assert len(every_state(editor._root)) < 300_000
    assert isinstance(editor._lines["queue"]._input, Fixed)
    assert "<script>" not in editor.html()
    check_agreement(editor)


def widgets_of(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from widgets_of(child)


def test_many_items_are_bounded(editors: list[Editor]) -> None:
    editor = opened(task_env("wk-i", env_vars={f"V{i}": "x" for i in range(2_000)}), editors)
    assert len(editor._items["env_vars"]._rows) == 100
    assert "… and 1,900 more" in editor._items["env_vars"]._told.value


def test_a_clone_has_the_changes(editors: list[Editor]) -> None:
    editor = opened(task_env("wk-j", queue="slow"), editors)
    typed(editor, "resources.cpu", "2")
    typed(editor, "queue", "")
    editor._panel._clone.click()
    name = next(w for w in widgets_of(editor._root) if getattr(w, "description", "") == "clone as")
    name.value = "Bad Name"
    assert "rename it, for example to" in every_state(editor._panel.widget)
    name.value = "wk-clone"
    next(w for w in widgets_of(editor._root) if getattr(w, "description", "") == "Declare the clone").click()
    clone = process_registry["wk-clone"]
    assert (clone.resources, clone.queue) == (flyte.Resources(cpu=2, memory="1Gi"), None)  # type: ignore[attr-defined]
    assert process_registry["wk-j"].queue == "slow"  # type: ignore[attr-defined]


def test_in_a_terminal_it_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    editor = flyte.edit(task_env("wk-k", secrets="absent-key"))
    editor.draft.set("resources.cpu", 2)
    editor._ipython_display_()
    told = capsys.readouterr().out
    assert "resources.cpu     2    (was 1)" in told or "resources.cpu" in told
    assert "%flyte secret set absent-key" in told
    assert "editor.draft.apply()" in told
    with pytest.raises(UsageTypeError, match=r"flyte\.edit: given 3"):
        flyte.edit(3)  # type: ignore[arg-type]


def test_a_closed_editor_listens_to_nothing(editors: list[Editor]) -> None:
    before = len(process_registry._observers), len(session.current_session().after_cell)
    editor = opened(task_env("wk-l"), editors)
    editor.close()
    assert (len(process_registry._observers), len(session.current_session().after_cell)) == before
    assert editor.draft._observers == []
    editor.draft.set("queue", "x")
    editor.widget()
    assert editor._lines["resources.cpu"]._input.text == "1"  # type: ignore[union-attr]


def test_the_still_form_has_what_is_set_with_its_value(editors: list[Editor]) -> None:
    variables = {"LEVEL": "a\nb", "API_KEY": "sk-verysecret12345", "LONG": "x" * 500}
    told = opened(task_env("wk-still", env_vars=variables), editors).text()
    assert "LEVEL=a\\nb" in told
    assert "API_KEY  hidden" in told
    assert "sk-verysecret" not in told
    assert f"LONG={'x' * 79}…" in told
    assert "not set" not in told
