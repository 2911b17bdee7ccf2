"""Drafts: changes that are checked as they are made, applied to the registry, and written into the source."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb import session
from flyte_nb.app import AppEnvironment
from flyte_nb.drafting import Draft
from flyte_nb.environments.base import unannounced
from flyte_nb.errors import DeclarationError, UnknownNameError, UsageError, UsageTypeError
from flyte_nb.registry import Source, process_registry


@pytest.fixture(scope="module", autouse=True)
def _own_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(session, "_session", None)
        yield
        session.current_session().close()


def env(name: str = "dr-a", **settings: Any) -> flyte.TaskEnvironment:
    return flyte.TaskEnvironment(name, **{"resources": flyte.Resources(cpu=1), "queue": "slow", **settings})


# --- changing ---


def test_changes_are_gathered_and_nobody_hears_of_them() -> None:
    declared = env()
    draft = flyte.draft(declared)
    draft.queue = "fast"
    draft.set("resources.memory", "8Gi").set("env_vars.LEVEL", "debug").reset("resources.cpu").update(image="img:2")
    assert [change.field for change in draft.changes] == ["env_vars", "resources", "image", "queue"]
    assert (draft.queue, draft.resources, draft.get("env_vars.LEVEL")) == (
        "fast",
        flyte.Resources(memory="8Gi"),
        "debug",
    )
    assert process_registry["dr-a"] is declared
    assert declared == env()
    assert flyte.draft(env()).changes == []


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda d: setattr(d, "resources", 7), DeclarationError, "TaskEnvironment.resources: given 7"),
        (lambda d: d.set("resources.memory", "8"), DeclarationError, "did you mean|write the unit"),
        (lambda d: d.set("resources.memry", "8Gi"), UnknownNameError, "did you mean 'memory'"),
        (lambda d: d.update(queue="x", image=3), DeclarationError, "image"),
        (lambda d: setattr(d, "resorces", 1), UnknownNameError, "did you mean 'resources'"),
        (lambda d: d.reset("imag"), UnknownNameError, "did you mean 'image'"),
        (lambda d: setattr(d, "name", "other"), UsageError, "preview_clone"),
        (lambda d: setattr(d, "cache", "often"), DeclarationError, "Cache.behavior: given 'often'"),
        (lambda d: d.update(reusable=flyte.ReusePolicy(), plugin_config=object()), DeclarationError, "plugin_config"),
    ],
)
def test_a_refused_value_leaves_the_draft_as_it_was(change: Any, error: type[Exception], told: str) -> None:
    draft = flyte.draft(env("dr-b")).set("queue", "fast")
    heard: list[Draft] = []
    draft.observe(heard.append)
    with pytest.raises(error, match=told):
        change(draft)
    assert [tuple(c) for c in draft.changes] == [("queue", "slow", "fast")]
    assert heard == []


def test_a_field_that_has_no_default_cannot_be_reset() -> None:
    app = flyte.clustered.ClusteredTaskEnvironment(name="dr-clustered", replicas=2, nproc_per_node=1)
    with pytest.raises(DeclarationError, match="it has no default"):
        flyte.draft(app).reset("replicas")
    assert flyte.draft(app).set("replicas", 3).proposed.replicas == 3  # type: ignore[attr-defined]


def test_changes_can_be_taken_back() -> None:
    draft = flyte.draft(env("dr-c")).update(queue="fast", image="i")
    assert [c.field for c in draft.discard("queue").changes] == ["image"]
    assert draft.discard().changes == []
    assert draft.update(queue="fast").update(queue="slow").changes == []


def test_observers_hear_each_change_until_they_end() -> None:
    draft = flyte.draft(env("dr-d"))
    heard: list[Any] = []
    end = draft.observe(lambda one: heard.append(one.queue))
    draft.queue = "a"
    draft.reset("queue")
    end()
    end()
    draft.queue = "b"
    assert heard == ["a", None]


def test_what_is_no_environment_and_what_is_no_field() -> None:
    with pytest.raises(UsageTypeError, match=r"flyte\.draft: given 3"):
        flyte.draft(3)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="did you mean 'queue'"):
        flyte.draft(env("dr-e")).quue
    assert {"queue", "set", "apply", "resources"} <= set(dir(flyte.draft(env("dr-e"))))


# --- showing ---


def test_the_diff_is_shown_without_secrets_and_escaped() -> None:
    draft = flyte.draft(env("dr-f")).set("env_vars.API_KEY", "abc-secret").set("description", "<b>x</b>")
    bundle = draft._repr_mimebundle_()
    assert "~ dr-f.env_vars" in str(draft)
    assert "abc-secret" not in json.dumps(bundle) + repr(draft)
    assert "<b>x" not in bundle["text/html"]
    assert "no changes yet" in repr(flyte.draft(env("dr-f")))


# --- applying ---


def test_apply_replaces_the_declaration_and_keeps_its_tasks() -> None:
    declared = env("dr-g")

    @declared.task
    def work() -> None: ...

    heard: list[Any] = []
    end = process_registry.observe(heard.append)
    draft = flyte.draft(declared).set("resources.memory", "8Gi")
    made = draft.apply()
    end()
    assert process_registry["dr-g"] is made
    assert made.place == declared.place
    assert work.parent_env() is made  # type: ignore[misc]
    assert work.resources == flyte.Resources(cpu=1, memory="8Gi")
    assert [[c.field for c in change.changed[0].fields] for change in heard] == [["resources"]]
    assert draft.changes == []
    assert draft.set("queue", "x").apply().queue == "x"  # type: ignore[attr-defined]


def test_the_functions_of_an_app_stay() -> None:
    app = AppEnvironment("dr-app")

    @app.server
    def serve() -> None: ...

    made = flyte.draft(app).set("port", 8001).apply()
    assert made._server is serve  # type: ignore[attr-defined]


def test_a_draft_starts_from_the_newest_declaration() -> None:
    former = env("dr-h")
    newer = env("dr-h", queue="other")
    assert flyte.draft(former).env is newer


def test_what_was_declared_otherwise_meanwhile_is_not_overwritten() -> None:
    draft = flyte.draft(env("dr-i")).set("image", "img:2")
    newer = env("dr-i", queue="other")
    assert "declared again" in draft.stale
    assert "cannot be applied" in str(draft)
    with pytest.raises(UsageError, match=r"with another queue; accepted: draft\.rebase\(\)"):
        draft.apply()
    assert process_registry["dr-i"] is newer
    made = draft.rebase().apply()
    assert (made.queue, made.image) == ("other", "img:2")  # type: ignore[attr-defined]


def test_the_same_declared_again_meanwhile_is_no_matter() -> None:
    draft = flyte.draft(env("dr-j")).set("image", "img:2")
    newer = env("dr-j")

    @newer.task
    def work() -> None: ...

    assert draft.apply().image == "img:2"
    assert list(process_registry["dr-j"].tasks) == ["dr-j.work"]  # type: ignore[attr-defined]


def test_what_was_never_declared_or_withdrawn_is_told() -> None:
    with unannounced():
        unknown = env("dr-unknown")
    draft = flyte.draft(unknown).set("image", "x")
    with pytest.raises(UsageError, match="is not declared any more; declare it again first"):
        draft.apply()


def test_what_its_cell_no_longer_declares_is_told() -> None:
    cell = Source("the cell", "In [1]", is_cell=True)
    process_registry.begin(cell)
    declared = env("dr-withdrawn")
    process_registry.commit()
    draft = flyte.draft(declared).set("image", "x")
    process_registry.begin(cell)
    process_registry.commit()
    assert "is not declared any more" in str(draft)
    with pytest.raises(UsageError, match="declare it again first"):
        draft.apply()
    newer = env("dr-withdrawn", queue="other")
    assert draft.rebase().apply() == flyte.draft(newer).set("image", "x").proposed


def test_an_edit_stays_with_the_cell_that_declared_it() -> None:
    declaring, editing = (Source(key, key, is_cell=True) for key in ("In [1]", "In [2]"))
    process_registry.begin(declaring)
    declared = env("dr-owned")
    process_registry.commit()
    process_registry.begin(editing)
    made = flyte.draft(declared).set("image", "x").apply()
    changes = process_registry.commit()
    assert [change.env for change in changes.changed] == [made]
    assert process_registry.source_of("dr-owned") == declaring
    process_registry.begin(editing)  # run again, without the edit: what it edited is not its own to withdraw
    process_registry.commit()
    assert process_registry["dr-owned"] is made
    with pytest.raises(UnknownNameError, match="nobody"):
        process_registry.amend(_unknown())


def _unknown() -> flyte.TaskEnvironment:
    with unannounced():
        return env("nobody")


def test_another_kind_of_environment_is_told() -> None:
    draft = flyte.draft(env("dr-k")).set("image", "x")
    AppEnvironment("dr-k")
    with pytest.raises(UsageError, match="another kind of environment now"):
        draft.apply()


# --- the source ---

MODULE = '''"""Ünïcode."""
import flyte_nb as flyte

env = flyte.TaskEnvironment(
    "{name}",
    queue="q",  # the queue
)  # end
clone = env.clone_with("{name}-clone", image="i")

for number in range(2):
    flyte.TaskEnvironment(f"{name}-{{number}}")

app = flyte.app.AppEnvironment("{name}-app", port=[8001][0])
apps = [flyte.app.AppEnvironment("{name}-apps")]
apps = [flyte.app.AppEnvironment(n) for n in ["{name}-apps"]]
'''


@pytest.fixture
def module(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    name = f"dr-{abs(hash(request.node.name))}"
    path = tmp_path / "dr_module.py"
    path.write_bytes(MODULE.format(name=name).replace("\n", "\r\n").encode())
    yield load(path)
    sys.modules.pop("dr_module", None)


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("dr_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dr_module"] = module
    spec.loader.exec_module(module)
    return module


def test_a_file_is_rewritten_only_when_asked(module: Any) -> None:
    path = Path(module.__file__)
    before = path.read_bytes()
    draft = flyte.draft(module.env).set("resources.memory", "8Gi").set("queue", "ü")
    code = draft.code()
    assert path.read_bytes() == before
    assert code.path == path
    assert '    queue="ü",  # the queue\r\n    resources=flyte.Resources(memory="8Gi"),\r\n)  # end\r\n' in str(code)
    assert draft.write() == path
    assert path.read_bytes().decode() == str(code)
    assert load(path).env == draft.proposed


def test_a_clone_is_rewritten_where_it_was_made(module: Any) -> None:
    draft = flyte.draft(module.clone).set("queue", "fast").reset("image")
    assert 'clone = env.clone_with("' in str(draft.code())
    assert '-clone", queue="fast", reset=("image",))\r\n' in str(draft.code())
    draft.write()
    assert load(Path(module.__file__)).clone == draft.proposed


def test_imports_that_a_value_needs_come_before_the_declaration(module: Any) -> None:
    draft = flyte.draft(module.env).set("env_vars", {"TOKEN": "abc"})
    assert "import os\r\nenv = flyte.TaskEnvironment(" in str(draft.code())
    assert "its value is not written" in draft.code().notices[0]


def test_one_in_a_loop_gets_code_to_add(module: Any) -> None:
    name = f"{module.env.name}-1"
    draft = flyte.draft(process_registry[name]).set("queue", "fast")
    code = draft.code()
    assert "is declared in a loop, on line 10" in code.reason
    names: dict[str, Any] = {}
    with unannounced():
        exec(code.source, names)
    assert draft.proposed in [value for value in names.values() if isinstance(value, flyte.TaskEnvironment)]
    with pytest.raises(UsageError, match=r"in a loop.*; accepted: draft\.offer\(\)"):
        draft.write()


def test_an_app_that_cannot_be_rewritten_is_edited_in_place_of_declared_again(module: Any) -> None:
    app = process_registry[f"{module.env.name}-apps"]
    draft = flyte.draft(app).set("port", 8005).reset("description")
    code = draft.code()
    assert "in a comprehension" in code.reason
    assert code.source.endswith(f'flyte.draft(flyte.current_registry().find("{app.name}")).update(port=8005).apply()')
    exec(code.source, {})
    assert process_registry[app.name] == draft.proposed


def test_what_was_applied_can_still_be_written(module: Any) -> None:
    draft = flyte.draft(module.env).set("queue", "fast")
    made = draft.apply()
    assert 'queue="fast",  # the queue' in str(draft.code())
    assert 'queue="fast",  # the queue' in str(flyte.draft(made).code())
    flyte.draft(made).set("queue", "q").apply()
    with pytest.raises(UsageError, match="has no changes"):
        flyte.draft(made).code()


def test_a_file_that_changed_since_is_told(module: Any) -> None:
    path = Path(module.__file__)
    path.write_text(path.read_text().replace("env = ", "other = 1\n\n\n\n\n\n\n\n\nenv = "))
    code = flyte.draft(module.env).set("queue", "fast").code()
    assert "was the source changed since it ran?" in code.reason
    path.write_text("x = (\n")
    assert "is no Python any more" in flyte.draft(module.env).set("queue", "fast").code().reason
    path.unlink()
    assert "cannot be read" in flyte.draft(module.env).set("queue", "fast").code().reason


def test_a_script_that_is_no_module_is_read_for_its_imports(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        "import flyte_nb as flyte\nenv = flyte.TaskEnvironment('dr-script', resources=flyte.Resources(cpu=1))\n"
    )
    names = runpy.run_path(str(path))
    code = flyte.draft(names["env"]).set("resources.memory", "1Gi").set("queue", "q").code()
    assert code.source.splitlines() == [
        "import flyte_nb as flyte",
        'env = flyte.TaskEnvironment(\'dr-script\', resources=flyte.Resources(cpu=1, memory="1Gi"), queue="q")',
    ]


def test_nothing_to_write_says_so() -> None:
    with pytest.raises(UsageError, match="has no changes"):
        flyte.draft(env("dr-l")).code()


def test_the_code_is_shown_without_secrets(module: Any) -> None:
    flyte.draft(module.env).set("env_vars", {"A": "1"}).write()
    path = Path(module.__file__)
    path.write_bytes(path.read_bytes().replace(b'{"A": "1"}', b'{"PASSWORD": "abc-secret", "A": "1"}'))
    changed = load(path)
    draft = flyte.draft(changed.env).set("env_vars.A", "2")
    shown = draft.offer()
    assert '"PASSWORD": "abc-secret"' in str(draft.code())
    assert "abc-secret" not in shown.text() + shown.html() + repr(draft.code())
    assert '"A": "2"' in shown.text()
