"""Parameters: each kind of value as the app receives it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from flyte_nb.engine.definition import Definition
from flyte_nb.engine.local.apps.parameters import Materialised, materialise
from flyte_nb.engine.local.apps.spec import Spec
from flyte_nb.environments.delayed_values import AppEndpoint, ArtifactValue, RunOutput
from flyte_nb.environments.parameters import Parameter
from flyte_nb.errors import UsageError
from flyte_nb.io import Dir, File


def made(folder: Path, *parameters: Parameter, **more: Any) -> tuple[Materialised, list[str]]:
    said: list[str] = []
    spec = Spec("a", "v", Definition(), 8080, parameters=parameters, **more)
    served = {"other": "http://127.0.0.1:9"}
    return asyncio.run(materialise(spec, folder, served.get, said.append)), said


def test_texts_variables_and_addresses(tmp_path: Path) -> None:
    found, _ = made(tmp_path, Parameter("t", "text", env_var="T"), Parameter("u", AppEndpoint(app_name="other")))
    assert found.texts == {"t": "text", "u": "http://127.0.0.1:9"}
    assert found.variables == {"T": "text"}


def test_files_and_folders_of_this_machine_stay_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f.txt").write_text("x")
    file, folder = File(path=str(tmp_path / "d" / "f.txt")), Dir(path=str(tmp_path / "d"))
    found, said = made(tmp_path / "r", Parameter("f", file), Parameter("d", folder))
    assert found.texts == {"f": str(tmp_path / "d" / "f.txt"), "d": str(tmp_path / "d")}
    assert said == []


def test_a_mount_lies_in_the_replica_s_own_folder_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("keep.txt", "drop.tmp"):
        (tmp_path / "d" / name).write_text(name)
    mounted = Parameter("d", Dir(path=str(tmp_path / "d")), mount="/models/x", ignore_patterns=["*.tmp"])
    file = Parameter("f", File(path=str(tmp_path / "d" / "keep.txt")), mount="/../../etc/")
    found, said = made(tmp_path / "r", mounted, file)
    assert found.texts["d"] == str(tmp_path / "r" / "mounts" / "models" / "x")
    assert [p.name for p in Path(found.texts["d"]).iterdir()] == ["keep.txt"]
    assert found.texts["f"] == str(tmp_path / "r" / "mounts" / "etc" / "keep.txt")
    assert said[0].startswith("parameter 'd' is not mounted at /models/x on this machine, but at ")


def test_a_file_elsewhere_is_downloaded_unless_it_shall_not_be(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://apps/f.txt", "w") as file:
        file.write("far")
    far = File(path="memory://apps/f.txt")
    found, _ = made(tmp_path, Parameter("f", far), Parameter("g", far, download=False))
    assert Path(found.texts["f"]).read_text() == "far"
    assert found.texts["g"] == "memory://apps/f.txt"


def test_outputs_of_runs(tmp_path: Path) -> None:
    asked = Parameter("o", RunOutput(type="string", run_name="r"))
    assert made(tmp_path, asked, find_output=lambda _: 3)[0].texts == {"o": "3"}
    with pytest.raises(UsageError, match="of type list; accepted: text, a number, a File or a Dir"):
        made(tmp_path, asked, find_output=lambda _: [1])
    with pytest.raises(ValueError, match="exactly one of run_name and task_name"):
        made(tmp_path, Parameter("o", RunOutput(type="string")), find_output=lambda _: 3)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "parameter 'p' of app 'a' has no value; give one in its declaration, or with"),
        (ArtifactValue(name="m"), "is an artifact, which only a cluster has"),
        (AppEndpoint(app_name="nobody"), "the address of app 'nobody', which is not served here; serve it first"),
        (RunOutput(type="string", run_name="r"), "no runs are known here"),
    ],
)
def test_what_cannot_be_had_here_says_so(tmp_path: Path, value: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(tmp_path, Parameter("p", value))
    assert told in str(caught.value)
