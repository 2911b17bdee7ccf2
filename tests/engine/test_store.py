"""The store: where it is, what it makes there, and the deployments in it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from flyte_nb.engine.base import Run
from flyte_nb.engine.local.engine import LocalEngine
from flyte_nb.engine.store import Store, home_for
from flyte_nb.errors import DeploymentError, UnknownNameError
from flyte_nb.notebook.module import Module
from flyte_nb.plan.bundle import Bundle

from scripts import ran


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def row(name: str, **declaration: str) -> dict[str, object]:
    return {"environment": name, "declaration": declaration, "tasks": {f"{name}.t": {"interface": "() -> int"}}}


# --- deployments ---


def test_deployed_and_again(store: Store) -> None:
    first = store.deploy([row("a"), row("b")], "v1", "v1")
    assert [(d.environment, d.version, d.tasks, d.unchanged) for d in first] == [
        ("a", "v1", ("a.t",), False),
        ("b", "v1", ("b.t",), False),
    ]
    again = store.deploy([row("a"), row("b")], "v1", "v1")
    assert [d.unchanged for d in again] == [True, True]
    assert [d.created for d in again] == [d.created for d in first]
    assert repr(again) == "<Deployments a@v1 (unchanged), b@v1 (unchanged)>"
    store.close()


def test_older_version_stays_callable_and_can_come_back(store: Store) -> None:
    store.deploy([row("a", image="one")], "v1", "v1")
    store.deploy([row("a", image="two")], "v2", "v2")
    assert store.current() == {"a": "v2"}
    assert store.deployed("a")["declaration"] == {"image": "two"}
    assert store.deployed("a", "v1")["declaration"] == {"image": "one"}
    (back,) = store.deploy([row("a", image="one")], "v1", "v1")
    assert not back.unchanged
    assert store.current() == {"a": "v1"}
    store.close()


def test_all_or_nothing(store: Store) -> None:
    store.deploy([row("a")], "v1", "v1")

    def rows() -> object:
        yield row("a")
        yield row("b")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        store.deploy(rows(), "v2", "v2")  # type: ignore[arg-type]
    assert store.current() == {"a": "v1"}
    with pytest.raises(UnknownNameError, match="no version of 'a' named 'v2'"):
        store.deployed("a", "v2")
    store.deploy([row("b")], "v2", "v2")  # the lock was given back
    store.close()


def test_unknown_names_are_met_with_the_nearest(store: Store) -> None:
    store.deploy([row("training")], "v1", "v1")
    with pytest.raises(UnknownNameError, match="did you mean 'training'"):
        store.deployed("trianing")
    with pytest.raises(UnknownNameError, match="did you mean 'v1'"):
        store.deployed("training", "v2")
    store.close()


def test_a_version_is_of_one_content(store: Store) -> None:
    engine = LocalEngine(store)
    first = Bundle("v1", Module("x = 1\n"), (row("a"),))
    assert [d.unchanged for d in asyncio.run(engine.deploy(first))] == [False]
    assert [d.unchanged for d in asyncio.run(engine.deploy(first))] == [True]
    with pytest.raises(DeploymentError, match=r"version 'v1' of 'a' .* other content"):
        asyncio.run(engine.deploy(Bundle("v1", Module("x = 2\n"), (row("a"),))))
    assert (store.bundles / store.deployed("a")["bundle"] / "cells.py").read_text() == "x = 1\n"
    store.close()


@pytest.mark.parametrize("version", ["../up", "a/b", ".hidden", "", " ", "x" * 200])
def test_a_version_names_no_other_folder(store: Store, version: str) -> None:
    with pytest.raises(DeploymentError, match="version: given"):
        asyncio.run(LocalEngine(store).deploy(Bundle(version, Module("x = 1\n"), (row("a"),))))
    assert not store.home.exists()


# --- where it is ---


def test_home_is_stated_or_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLYTE_NB_HOME", raising=False)
    deep = tmp_path / "project" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").touch()
    assert home_for(deep) == tmp_path / "project" / ".flyte_nb"
    (tmp_path / "project" / "a" / ".flyte_nb").mkdir()
    assert home_for(deep) == tmp_path / "project" / "a" / ".flyte_nb"
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "stated"))
    assert home_for(deep) == tmp_path / "stated"
    monkeypatch.setenv("FLYTE_NB_HOME", "~/stated")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_for(deep) == tmp_path / "stated"


def test_home_of_another_process_is_stated(tmp_path: Path) -> None:
    code = "import flyte_nb.session as s; print(s.current_session().store.home)"
    assert ran(["-c", code], tmp_path).stdout.strip() == str(tmp_path / "home")


def test_manifest_of_a_bundle(store: Store) -> None:
    asyncio.run(LocalEngine(store).deploy(Bundle("v1", Module("x = 1\n"), (row("a"),))))
    (home,) = store.bundles.iterdir()
    assert json.loads((home / "manifest.json").read_text())["version"] == "v1"
    store.close()


def test_environments_deployed_one_by_one_may_share_a_version(store: Store) -> None:
    engine = LocalEngine(store)
    for name in ("a", "b"):
        asyncio.run(engine.deploy(Bundle("v1", Module(f"name = {name!r}\n"), (row(name),))))
    for name in ("a", "b"):
        source = (store.bundles / store.deployed(name)["bundle"] / "cells.py").read_text()
        assert source == f"name = {name!r}\n"
    store.close()


def test_reading_makes_no_store(store: Store) -> None:
    assert store.runs() == []
    assert store.current() == {}
    with pytest.raises(UnknownNameError, match="there is none yet"):
        store.deployed("env")
    assert not store.home.exists()


def test_the_folder_is_private_and_out_of_git(store: Store) -> None:
    store.add_run(Run("t-1", "e.t"))
    store.flush()
    assert store.home.stat().st_mode & 0o077 == 0
    assert (store.home / ".gitignore").read_text() == "*\n"
    store.close()


def test_the_rows_of_what_is_current(tmp_path):
    store = Store(tmp_path)
    assert store.current_rows() == {}
    row = {"environment": "e", "declaration": {"name": "e"}, "tasks": {"e.f": {"reads": {"x": "1"}}}}
    store.deploy([row, {**row, "environment": "o"}], "v1", "b1")
    store.deploy([{**row, "tasks": {}}], "v2", "b2")
    assert store.current_rows() == {"e": store.deployed("e"), "o": store.deployed("o")}
    assert (store.current_rows()["e"]["version"], store.current_rows()["e"]["tasks"]) == ("v2", {})


# --- what is in clusters ---


def test_what_is_in_clusters_is_kept_by_place(store: Store) -> None:
    rows = [{**row("a"), "digest": "1"}]
    made = store.placed_targets(rows, "there shop/development", "v1", named=False)
    assert [(one.version, one.unchanged, one.place) for one in made] == [("v1", False, "there shop/development")]
    assert store.placed() == []
    store.put_placed(made, rows)
    assert store.current() == {}
    (again,) = store.placed_targets(rows, "there shop/development", "v2", named=False)
    assert (again.version, again.unchanged) == ("v1", True)
    (elsewhere,) = store.placed_targets(rows, "else shop/development", "v2", named=False)
    assert (elsewhere.version, elsewhere.unchanged) == ("v2", False)
    with pytest.raises(DeploymentError, match="deployed already, with other content"):
        store.placed_targets([{**row("a"), "digest": "2"}], "there shop/development", "v1", named=True)


def test_the_version_used_last_is_the_current_one_of_a_place(store: Store) -> None:
    for version, digest in (("v1", "1"), ("v2", "2"), ("v1", "1")):
        rows = [{**row("a"), "digest": digest}]
        store.put_placed(store.placed_targets(rows, "there", version, named=True), rows)
    assert [(one.version, one.current) for one in store.placed("a")] == [("v1", True), ("v2", False)]
    known = store.placed_row("a", "v2")
    assert known is not None
    assert known["tasks"] == row("a")["tasks"]
    assert (store.placed_row("a", "v3"), store.placed_row("b")) == (None, None)
