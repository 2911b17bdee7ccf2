"""Image: constructors, clones, URIs, and what an engine needs to know."""

import copy
import dataclasses
import inspect
import pickle
import re
import sys
import typing
from pathlib import Path

import pytest
from flyte_nb.environments.image import FLYTE_VERSION, Architecture, Image, ImageBuild
from flyte_nb.environments.layers import PipPackages, UVScript, WorkDir
from flyte_nb.environments.secrets import Secret
from flyte_nb.errors import DeclarationTypeError, DeclarationValueError, ImageBuildError, RuntimeUserError
from hypothesis import given
from hypothesis import strategies as st

RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"
START = Image.from_debian_base(name="mine")
TAG = re.compile(r"[0-9a-f]{32}")


# ---------------------------------------------------------------- construction


@pytest.mark.parametrize("call", [Image, lambda: Image(base_image="python:3.12"), lambda: Image("python:3.12")])
def test_a_direct_call_is_refused(call):
    with pytest.raises(DeclarationTypeError, match="from_debian_base"):
        call()


def test_an_image_is_frozen_and_hashable():
    with pytest.raises(AttributeError):
        START.name = "other"
    assert hash(START) == hash(Image.from_debian_base(name="mine"))
    assert START == Image.from_debian_base(name="mine") != Image.from_debian_base(name="other")


def test_debian_defaults():
    image = Image.from_debian_base()
    assert image.uri == f"ghcr.io/flyteorg/flyte:py{RUNNING}-v{FLYTE_VERSION}" == image.base_image
    assert image.platform == ("linux/amd64", "linux/arm64")
    assert image.python_version == sys.version_info[:2]
    assert image.extendable is True
    assert image.dockerfile is None


@pytest.mark.parametrize("version", ["2.9.0", "v2.9.0"])
def test_debian_versions(version):
    image = Image.from_debian_base((3, 12), version)
    assert image.uri == "ghcr.io/flyteorg/flyte:py3.12-v2.9.0"


def test_a_development_version_makes_a_valid_tag():
    assert Image.from_debian_base((3, 12), "2.9.0.dev1+abc").uri.endswith(":py3.12-v2.9.0.dev1-abc")


def test_debian_without_flyte_is_built_on_plain_python():
    image = Image.from_debian_base((3, 12), install_flyte=False)
    assert image.base_image == "python:3.12-slim-bookworm"
    assert re.fullmatch(r"flyte:[0-9a-f]{32}", image.uri)
    assert image.layers


def test_debian_with_registry_or_name_is_an_image_of_its_own():
    image = Image.from_debian_base(registry="ghcr.io/me", name="mine", registry_secret="login")
    assert re.fullmatch(r"ghcr\.io/me/mine:[0-9a-f]{32}", image.uri)
    assert image.registry_secret == Secret("login")
    assert re.fullmatch(r"mine:[0-9a-f]{32}", START.uri)
    assert Image.from_debian_base(registry_secret="login").registry_secret == Secret("login")


@pytest.mark.parametrize("wrong", [(3, 9), (2, 7), (3,), (3, 12, 1)])
def test_python_versions_that_cannot_be(wrong):
    with pytest.raises(DeclarationValueError, match="python_version"):
        Image.from_debian_base(wrong)


@pytest.mark.parametrize(
    "given_",
    [
        {"python_version": "3.12"},
        {"python_version": (3, "12")},
        {"registry": 3},
        {"name": 3},
        {"install_flyte": "no"},
        {"flyte_version": 2},
        {"registry_secret": 3},
        {"platform": 3},
    ],
)
def test_debian_wrong_types(given_):
    with pytest.raises(DeclarationTypeError):
        Image.from_debian_base(**given_)


def test_platforms():
    assert typing.get_args(Architecture) == ("linux/amd64", "linux/arm64")
    assert Image.from_debian_base(platform=["linux/arm64"]).platform == ("linux/arm64",)
    for wrong in [("windows/amd64",), ()]:
        with pytest.raises(DeclarationValueError):
            Image.from_debian_base(platform=wrong)


def test_from_base():
    image = Image.from_base("python:3.12")
    assert (image.uri, image.base_image) == ("python:3.12", "python:3.12")
    assert (image.extendable, image.name, image.registry) == (False, None, None)
    assert image.platform == ("linux/amd64",)
    for nothing in (None, ""):
        with pytest.raises(ImageBuildError):
            Image.from_base(nothing).uri
    with pytest.raises(DeclarationTypeError):
        Image.from_base(3)


def test_from_ref_name():
    assert Image.from_ref_name().name == "default"
    with pytest.raises(ImageBuildError, match="custom"):
        Image.from_ref_name("custom").uri


def test_from_dockerfile(tmp_path):
    file = tmp_path / "Dockerfile"
    file.write_text("FROM a")
    image = Image.from_dockerfile(str(file), "r", "n")
    assert (image.dockerfile, image.platform, image.extendable) == (file, ("linux/amd64",), False)
    first = image.uri
    assert re.fullmatch(r"r/n:[0-9a-f]{32}", first)
    file.write_text("FROM b")
    assert image.uri != first
    for refused in (image, image.clone(extendable=True)):
        with pytest.raises(DeclarationValueError, match="Dockerfile"):
            refused.with_pip_packages("a")
    with pytest.raises(DeclarationTypeError):
        Image.from_dockerfile(3, "r", "n")


def test_from_scripts(tmp_path):
    script = tmp_path / "s.py"
    script.write_text("# /// script\n# dependencies = ['a']\n# ///\n")
    image = Image.from_uv_script(script, name="n", registry="r", python_version=(3, 12), pre=True)
    assert image.base_image == "python:3.12-slim-bookworm"
    assert isinstance(image.layers[-1], UVScript)
    assert image.layers[-1].pre is True
    assert image.uri.startswith("r/n:")
    image.validate()
    pixi = Image.from_pixi_script(str(script), name="n")
    assert pixi.layers[-1].environment == "default"
    assert pixi.uri.startswith("n:")
    with pytest.raises(TypeError):
        Image.from_uv_script(script, "n")


# ---------------------------------------------------------------- clone


def test_clone_changes_only_what_is_given():
    copied = START.clone("r", "login", "n", "python:3.12", (3, 12), WorkDir("/w"), None, ("linux/arm64",))
    assert (copied.registry, copied.name, copied.base_image) == ("r", "n", "python:3.12")
    assert (copied.python_version, copied.platform) == ((3, 12), ("linux/arm64",))
    assert (copied.registry_secret, copied.layers) == (Secret("login"), (WorkDir("/w"),))
    assert copied.extendable is True
    assert START.clone() is not START
    assert list(inspect.signature(Image.clone).parameters)[1:] == [
        "registry",
        "registry_secret",
        "name",
        "base_image",
        "python_version",
        "addl_layer",
        "extendable",
        "platform",
    ]


def test_layers_need_an_extendable_image_with_a_name():
    base = Image.from_base("python:3.12")
    with pytest.raises(DeclarationValueError, match="extendable"):
        base.with_pip_packages("a")
    with pytest.raises(DeclarationValueError, match="name"):
        base.clone(extendable=True).with_pip_packages("a")
    image = base.clone(name="n", extendable=True, addl_layer=PipPackages(("a",)))
    assert re.fullmatch(r"n:[0-9a-f]{32}", image.uri)
    with pytest.raises(DeclarationTypeError):
        START.clone(addl_layer="a")


def test_a_clone_without_a_name_has_no_uri():
    with pytest.raises(ImageBuildError, match="name"):
        Image.from_base("python:3.12").clone(registry="r").uri


# ---------------------------------------------------------------- round trips

TEXT = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=6)
TEXTS = st.lists(TEXT, min_size=1, max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("with_pip_packages"), TEXTS),
        st.tuples(st.just("with_apt_packages"), TEXTS),
        st.tuples(st.just("with_commands"), TEXTS.map(lambda texts: [texts])),
        st.tuples(st.just("with_workdir"), TEXT.map(lambda text: [text])),
        st.tuples(st.just("with_env_vars"), st.dictionaries(TEXT, TEXT, min_size=1).map(lambda d: [d])),
    ),
    max_size=5,
)


def declared(steps):
    image = START
    for method, arguments in steps:
        image = getattr(image, method)(*arguments)
    return image


@given(STEPS)
def test_same_declarations_same_uri(steps):
    one, other = declared(steps), declared(copy.deepcopy(steps))
    assert one == other
    assert hash(one) == hash(other)
    assert one.uri == other.uri


@given(STEPS, STEPS)
def test_other_declarations_other_uri(steps, others):
    assert (declared(steps) == declared(others)) == (declared(steps).uri == declared(others).uri)


@given(STEPS)
def test_round_trips(steps):
    image = declared(steps)
    for copied in (pickle.loads(pickle.dumps(image)), copy.deepcopy(image), dataclasses.replace(image)):
        assert copied == image
        assert hash(copied) == hash(image)
        assert copied.uri == image.uri
    assert dataclasses.replace(image, registry="r").uri == f"r/{image.uri}"


# ---------------------------------------------------------------- tag


def test_boundaries_kinds_and_orders_are_in_the_tag():
    uris = [
        START.with_pip_packages("ab", "c").uri,
        START.with_pip_packages("a", "bc").uri,
        START.with_pip_packages("ab").with_pip_packages("c").uri,
        START.with_pip_packages("c", "ab").uri,
        START.with_apt_packages("ab", "c").uri,
        START.with_workdir("ls").uri,
        START.with_commands("ls").uri,
        START.with_pip_packages("a").with_apt_packages("b").uri,
        START.with_apt_packages("b").with_pip_packages("a").uri,
        START.with_pip_packages("a", index_url="b").uri,
        START.with_pip_packages("a", extra_args="b").uri,
        START.clone(platform=("linux/arm64",)).uri,
        START.uri,
    ]
    assert len(set(uris)) == len(uris)


def test_where_it_is_pushed_to_is_not_in_the_tag():
    image = START.with_pip_packages("a")
    assert image.clone(registry="r", name="n").uri == "r/n:" + image.uri.partition(":")[2]


def test_files_count_by_content(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "requirements.txt").write_text("pandas")
    image = START.with_requirements(one / "requirements.txt")
    assert image.uri == START.with_requirements(other / "requirements.txt").uri
    before = image.uri
    (one / "requirements.txt").write_text("polars")
    assert image.uri != before


def test_folders_count_by_content_without_what_is_ignored(tmp_path):
    (tmp_path / "a.py").write_text("1")
    image = START.with_source_folder(tmp_path, "/app")
    before = image.uri
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert image.uri == before
    (tmp_path / ".dockerignore").write_text("*.log\n")
    ignoring = image.uri
    (tmp_path / "run.log").write_text("x")
    assert image.uri == ignoring
    (tmp_path / "b.py").write_text("x")
    assert image.uri != ignoring


def test_a_given_dockerignore_counts_for_all_folders(tmp_path):
    code, rules = tmp_path / "code", tmp_path / "rules"
    code.mkdir()
    (code / "a.py").write_text("1")
    rules.write_text("*.csv\n")
    image = START.with_source_folder(code).with_dockerignore(rules)
    before = image.uri
    (code / "data.csv").write_text("1,2")
    assert image.uri == before
    rules.write_text("")
    assert image.uri != before


def test_a_renamed_source_file_is_another_image(tmp_path):
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("1")
    assert START.with_source_file(tmp_path / "a.py").uri != START.with_source_file(tmp_path / "b.py").uri


def test_an_installed_project_counts_whole(tmp_path):
    (tmp_path / "pyproject.toml").write_text("")
    whole = START.with_uv_project(tmp_path / "pyproject.toml", project_install_mode="install_project")
    only = START.with_uv_project(tmp_path / "pyproject.toml")
    before = whole.uri, only.uri
    (tmp_path / "code.py").write_text("1")
    assert whole.uri != before[0]
    assert only.uri == before[1]
    (tmp_path / "uv.lock").write_text("1")
    assert only.uri != before[1]


def test_a_code_bundle_needs_its_root(tmp_path):
    image = START.with_code_bundle("all")
    with pytest.raises(DeclarationValueError, match="root_dir"):
        image.uri
    image.validate()
    (tmp_path / "a.py").write_text("1")
    before = image.rooted(tmp_path).uri
    assert TAG.search(before)
    (tmp_path / "a.py").write_text("2")
    assert image.rooted(tmp_path).uri != before


def test_a_bundle_of_loaded_modules_holds_what_is_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "bundled_module_x.py").write_text("1")
    (tmp_path / "other_module_x.py").write_text("1")
    __import__("bundled_module_x")
    bundle = START.with_code_bundle().rooted(tmp_path).layers[-1]
    assert dict(bundle.sources()) == {"bundled_module_x.py": tmp_path / "bundled_module_x.py"}
    monkeypatch.delitem(sys.modules, "bundled_module_x")


def test_nothing_is_read_before_the_uri_is(tmp_path):
    image = START.with_requirements(tmp_path / "later.txt")
    (tmp_path / "later.txt").write_text("a")
    assert TAG.search(image.uri)


# ---------------------------------------------------------------- for engines


def test_container_reasons():
    assert START.with_pip_packages("a").with_env_vars({"A": "b"}).container_reasons() == []
    assert Image.from_debian_base(install_flyte=False).container_reasons() == []
    reasons = START.with_apt_packages("git").with_commands("ls").container_reasons()
    assert [reason.partition("(")[0] for reason in reasons] == ["AptPackages", "Commands"]
    assert "python:3.12" in Image.from_base("python:3.12").container_reasons()[0]
    assert START.clone(base_image="x:1").container_reasons() == ["the base image 'x:1'"]
    assert "gpu" in Image.from_ref_name("gpu").container_reasons()[0]
    assert "Dockerfile" in Image.from_dockerfile(Path("Dockerfile"), "r", "n").container_reasons()[0]


def test_layers_of_one_kind():
    image = START.with_pip_packages("a").with_workdir("/w").with_pip_packages("b")
    assert [layer.packages for layer in image.layers_of(PipPackages)] == [("a",), ("b",)]


def test_repr_shows_no_credentials():
    image = START.with_pip_packages(
        "a", index_url="https://me:hunter2@i", extra_index_urls=["https://me:hunter2@x"]
    ).with_env_vars({"A": "hunter2"})
    assert "hunter2" not in repr(image)
    assert "_origin" not in repr(image)


def test_image_build():
    assert ImageBuild("u") == ImageBuild("u", None, None)
    assert [f.name for f in dataclasses.fields(ImageBuild)] == ["uri", "remote_run", "build_run"]
    assert ImageBuild(None).uri is None


def test_image_build_error():
    error = pickle.loads(pickle.dumps(ImageBuildError("no name")))
    assert isinstance(error, RuntimeUserError)
    assert (error.code, error.kind, str(error)) == ("ImageBuildError", "user", "no name")


def test_type_hints_resolve():
    for kind in (Image, ImageBuild, PipPackages):
        assert typing.get_type_hints(kind)
