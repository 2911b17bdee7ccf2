"""Layers: what the with_* methods accept, convert and refuse."""

import importlib
import sys
from pathlib import Path

import pytest
from flyte_nb.environments.image import Image
from flyte_nb.environments.layer_projects import PixiProject, PoetryProject, UVProject
from flyte_nb.environments.layer_sources import (
    CodeBundle,
    DockerIgnore,
    PythonWheels,
    SourceFile,
    SourceFolder,
)
from flyte_nb.environments.layers import (
    AptPackages,
    Commands,
    EnvVars,
    PipPackages,
    Requirements,
    WorkDir,
)
from flyte_nb.environments.secrets import Secret
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError, ImageBuildError

START = Image.from_debian_base(name="mine")


def last(image):
    return image.layers[-1]


def test_each_call_adds_one_layer_in_order(tmp_path):
    image = START.with_apt_packages("git").with_pip_packages("pandas").with_commands(["ls"]).with_workdir("/w")
    assert [type(layer) for layer in image._layers] == [AptPackages, PipPackages, Commands, WorkDir]
    assert START.layers == ()


def test_pip_packages_keep_their_options():
    layer = last(
        START.with_pip_packages(
            "a",
            "b>=2",
            index_url="https://i",
            extra_index_urls=["https://x"],
            pre=True,
            extra_args="-q",
            secret_mounts="key",
        )
    )
    assert layer.packages == ("a", "b>=2")
    assert (layer.index_url, layer.extra_index_urls) == ("https://i", ("https://x",))
    assert (layer.pre, layer.extra_args, layer.secret_mounts) == (True, "-q", (Secret("key"),))


@pytest.mark.parametrize("urls", ["https://x", ["https://x"], ("https://x",)])
def test_one_conversion_for_extra_index_urls(urls):
    for image in (
        START.with_pip_packages("a", extra_index_urls=urls),
        START.with_requirements("r.txt", extra_index_urls=urls),
        START.with_uv_project("pyproject.toml", extra_index_urls=urls),
        Image.from_uv_script("s.py", name="n", extra_index_urls=urls),
    ):
        assert last(image).extra_index_urls == ("https://x",)


def test_a_given_secret_stays_the_same_object():
    secret = Secret("key")
    assert last(START.with_apt_packages("a", secret_mounts=[secret])).secret_mounts[0] is secret


@pytest.mark.parametrize(
    "call",
    [
        lambda i: i.with_pip_packages(["a", "b"]),
        lambda i: i.with_pip_packages("a", ("b",)),
        lambda i: i.with_pip_packages(3),
        lambda i: i.with_pip_packages("a", pre="yes"),
        lambda i: i.with_pip_packages("a", extra_index_urls=3),
        lambda i: i.with_pip_packages("a", secret_mounts=[3]),
        lambda i: i.with_apt_packages(["a"]),
        lambda i: i.with_commands(3),
        lambda i: i.with_commands([["ls"]]),
        lambda i: i.with_env_vars(["A"]),
        lambda i: i.with_env_vars({1: "a"}),
        lambda i: i.with_env_vars({"A": None}),
        lambda i: i.with_workdir(None),
        lambda i: i.with_requirements(3),
        lambda i: i.with_source_folder(3),
        lambda i: i.with_source_folder("a", copy_contents_only="no"),
        lambda i: i.with_source_file(3),
        lambda i: i.with_dockerignore(None),
        lambda i: i.with_uv_project(None),
        lambda i: i.with_local_v2_plugins(3),
    ],
)
def test_wrong_types(call):
    with pytest.raises(DeclarationTypeError):
        call(START)


@pytest.mark.parametrize(
    "call",
    [
        lambda i: i.with_pip_packages(),
        lambda i: i.with_pip_packages("a", " "),
        lambda i: i.with_apt_packages(),
        lambda i: i.with_commands([]),
        lambda i: i.with_requirements("requirements.in"),
        lambda i: i.with_env_vars({"A=B": "x"}),
        lambda i: i.with_env_vars({"": "x"}),
        lambda i: i.with_source_file(["a/x.py", "b/x.py"]),
        lambda i: i.with_source_file([]),
        lambda i: i.with_code_bundle("some"),
        lambda i: i.with_uv_project("pyproject.toml", project_install_mode="editable"),
    ],
)
def test_wrong_values(call):
    with pytest.raises(DeclarationValueError):
        call(START)


def test_the_error_names_the_field_and_the_item():
    with pytest.raises(DeclarationTypeError, match=r"PipPackages\.packages.*item 1 is of type list"):
        START.with_pip_packages("a", ["b"])


def test_a_single_command_is_one_command():
    assert last(START.with_commands("ls -l")).commands == ("ls -l",)


def test_env_vars_become_text_and_the_last_wins():
    image = START.with_env_vars({"A": 1, "B": "x"}).with_env_vars({"A": "2"})
    assert image.layers[0] == EnvVars({"A": "1", "B": "x"})
    assert image.env_vars == {"A": "2", "B": "x"}
    assert "x" not in repr(image.layers[0])


def test_source_folder_goes_to_a_folder_of_its_name(tmp_path, monkeypatch):
    folder = tmp_path / "code"
    folder.mkdir()
    assert last(START.with_source_folder(folder)) == SourceFolder(folder, "./code")
    assert last(START.with_source_folder(str(folder))) == SourceFolder(folder, "./code")
    assert last(START.with_source_folder(folder, copy_contents_only=True)).dst == "."
    assert last(START.with_source_folder(folder, "/app")).dst == "/app"
    monkeypatch.chdir(folder)
    assert last(START.with_source_folder(".")).dst == "./code"


def test_source_files_are_one_layer_each():
    image = START.with_source_file(["a.py", "b.py"], "/app")
    assert image.layers == (SourceFile("a.py", "/app"), SourceFile("b.py", "/app"))


def test_pixi_folder_means_the_manifest_in_it(tmp_path):
    (tmp_path / "pyproject.toml").write_text("")
    layer = last(START.with_pixi_project(tmp_path))
    assert layer.manifest == tmp_path / "pyproject.toml"
    (tmp_path / "pixi.toml").write_text("")
    (tmp_path / "pixi.lock").write_text("")
    assert (layer.manifest, layer.lock) == (tmp_path / "pixi.toml", tmp_path / "pixi.lock")
    assert (layer.environment, layer.project_install_mode) == ("default", "dependencies_only")


@pytest.mark.parametrize(
    ("kind", "lock"), [(UVProject, "uv.lock"), (PoetryProject, "poetry.lock"), (PixiProject, "pixi.lock")]
)
def test_the_lock_beside_the_manifest_counts(tmp_path, kind, lock):
    manifest = tmp_path / "pyproject.toml"
    manifest.write_text("")
    assert kind(manifest).lock == (tmp_path / lock if kind is PoetryProject else None)
    (tmp_path / lock).write_text("v1")
    assert kind(manifest).lock == tmp_path / lock
    assert kind(manifest, tmp_path / "other.lock").lock == tmp_path / "other.lock"


def test_validate_says_what_is_missing(tmp_path):
    missing = tmp_path / "none.txt"
    for image in (
        START.with_requirements(missing),
        START.with_uv_project(missing),
        START.with_poetry_project(missing),
        START.with_pixi_project(missing),
        Image.from_uv_script(missing, name="n"),
        Image.from_pixi_script(missing, name="n"),
        Image.from_dockerfile(missing, "r", "n"),
    ):
        with pytest.raises(FileNotFoundError, match=r"none\.txt"):
            image.validate()
        with pytest.raises(FileNotFoundError, match=r"none\.txt"):
            image.uri
    for image in (
        START.with_source_folder(missing),
        START.with_source_file(missing),
        START.with_code_bundle().rooted(missing),
        START.with_local_v2(),
    ):
        with pytest.raises(ImageBuildError):
            image.validate()
        with pytest.raises(ImageBuildError):
            image.uri
    with pytest.raises(DeclarationValueError, match="not a file"):
        START.with_uv_project(tmp_path).validate()
    START.with_dockerignore(missing).validate()


@pytest.mark.parametrize("error", [FileNotFoundError, ValueError])
def test_a_lock_must_exist(tmp_path, error):
    manifest = tmp_path / "pyproject.toml"
    manifest.write_text("")
    for image in (
        START.with_uv_project(manifest, tmp_path / "uv.lock"),
        START.with_poetry_project(manifest, tmp_path / "poetry.lock"),
        START.with_poetry_project(manifest),
        START.with_pixi_project(manifest, tmp_path / "pixi.lock"),
    ):
        with pytest.raises(error, match=r"lock.*there is no such file"):
            image.validate()
    START.with_uv_project(manifest).validate()
    START.with_pixi_project(manifest).validate()


def test_files_that_their_tool_does_not_find(tmp_path):
    (other := tmp_path / "other.toml").write_text("")
    for image in (Image.from_uv_script(other, name="n"), Image.from_pixi_script(other, name="n")):
        with pytest.raises(DeclarationValueError, match=r"script: .*its name is 'other.toml'.*\.py"):
            image.validate()
    with pytest.raises(DeclarationValueError, match=r"manifest: .*'pixi.toml' or 'pyproject.toml'"):
        START.with_pixi_project(other).validate()


def test_development_layers(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flyte", None)
    monkeypatch.delitem(sys.modules, "flyte")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "src")])
    image = START.with_local_v2().with_local_rs_controller().with_local_v2_plugins(["flyteplugins-ray"])
    folders = [Path("dist"), Path("rs_controller/dist"), Path("dist")]
    names = ["flyte", "flyte_controller_base", "flyteplugins_ray"]
    assert image.layers == tuple(map(PythonWheels, folders, names))  # where the SDK is not installed
    (tmp_path / "src" / "flyte").mkdir(parents=True)
    (tmp_path / "src" / "flyte" / "__init__.py").touch()
    importlib.invalidate_caches()
    image = START.with_local_v2().with_local_v2_plugins("flyteplugins-ray")
    assert [layer.wheel_dir for layer in image.layers] == [tmp_path / "dist"] * 2
    assert START.with_local_v2_plugins() is START.with_local_v2_plugins(None) is START
    with pytest.raises(DeclarationValueError, match=r"'ray'.*start with 'flyteplugins-'"):
        START.with_local_v2_plugins(["ray"])


def test_dockerignore_path_and_code_bundle_defaults():
    assert last(START.with_dockerignore("x/.dockerignore")) == DockerIgnore("x/.dockerignore")
    assert last(START.with_code_bundle()) == CodeBundle("loaded_modules", ".")
    assert isinstance(last(START.with_requirements("r.txt")), Requirements)
