"""The records that travel with runs."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest
from flyte_nb.models import (
    ActionID,
    ActionPhase,
    CodeBundle,
    GroupData,
    NativeInterface,
    PathRewrite,
    RawDataPath,
    SerializationContext,
)


def test_an_action_names_its_run() -> None:
    first = ActionID(name="a")
    assert (first.name, first.run_name, first.project, first.domain, first.org) == ("a", "a", None, None, None)
    child = ActionID(name="a1", run_name="r", project="p", domain="d", org="o").new_sub_action("a2")
    assert child == ActionID(name="a2", run_name="r", project="p", domain="d", org="o")
    assert first.new_sub_action().run_name == "a"
    assert ActionID.create_random() != ActionID.create_random()


def test_an_action_takes_keywords_only_and_is_frozen() -> None:
    with pytest.raises(TypeError):
        ActionID("a")  # type: ignore[misc]
    with pytest.raises(AttributeError):
        ActionID(name="a").name = "b"  # type: ignore[misc]
    with pytest.raises(TypeError, match="name"):
        ActionID(name=1)  # type: ignore[arg-type]


def test_path_rewrite() -> None:
    rewrite = PathRewrite.from_str("s3://old->/new")
    assert rewrite == PathRewrite("s3://old", "/new")
    assert str(rewrite) == "s3://old->/new"
    for wrong in ("s3://old", "a->b->c", "", 3):
        with pytest.raises(ValueError, match="'old->new'"):
            PathRewrite.from_str(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="equal"):
        PathRewrite("a", "a")
    with pytest.raises(ValueError, match="equal"):
        PathRewrite.from_str("a->a")


def test_raw_data_path(tmp_path: Path) -> None:
    made = RawDataPath.from_local_folder(tmp_path / "x")
    assert made.path == str(tmp_path / "x")
    assert Path(made.path).is_dir()
    assert Path(RawDataPath.from_local_folder().path).is_dir()
    path = RawDataPath("s3://b/").get_random_remote_path("x.csv")
    assert path.startswith("s3://b/")
    assert path.endswith("/x.csv")
    assert RawDataPath("a").get_random_remote_path() != RawDataPath("a").get_random_remote_path()


def test_a_code_bundle_is_an_archive_or_a_pickle() -> None:
    bundle = CodeBundle(computed_version="v", tgz="s3://x")
    there = bundle.with_downloaded_path(Path("/tmp/x"))
    assert (there.downloaded_path, bundle.downloaded_path, there.files) == (Path("/tmp/x"), None, None)
    assert hash(CodeBundle(computed_version="v", tgz="x", files=["a.py"]))
    assert SerializationContext(None, code_bundle=bundle).version is None
    assert (bundle.destination, bundle.pkl, bundle.downloaded_path) == (".", None, None)
    for wrong in ({}, {"tgz": "a", "pkl": "b"}):
        with pytest.raises(ValueError, match="exactly one"):
            CodeBundle(computed_version="v", **wrong)
    with pytest.raises(TypeError):
        CodeBundle("v", tgz="x")  # type: ignore[misc]


def test_serialization_context() -> None:
    context = SerializationContext("v", "p", "d")
    assert (context.version, context.project, context.domain, context.org) == ("v", "p", "d", None)
    assert context.get_entrypoint_path("/usr/bin/python") == "/usr/bin/runtime.py"
    with pytest.raises(TypeError):
        SerializationContext()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "record", [ActionID(name="a"), GroupData("g"), PathRewrite("a", "b"), RawDataPath("x"), SerializationContext("v")]
)
def test_records_are_plain_frozen_dataclasses(record: object) -> None:
    assert pickle.loads(pickle.dumps(record)) == copy.deepcopy(record) == dataclasses.replace(record) == record  # type: ignore[type-var]
    assert hash(record) == hash(copy.deepcopy(record))


def test_the_others_are_the_ones_declared() -> None:
    assert ActionPhase("running") is ActionPhase.RUNNING
    assert NativeInterface.from_types({"x": int}, {}).required_inputs() == ["x"]
