import os
from pathlib import Path

import pytest
from flyte_nb.environments import place
from flyte_nb.environments.base import listen
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import DeploymentError
from flyte_nb.plan.includes import included


@pytest.fixture(autouse=True)
def nobody_listens():
    before = listen(None)
    yield
    listen(before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A notebook's folder, with files; what cells declare is declared there."""
    root = tmp_path / "project"
    for name in ("a.html", "b.css", ".env", "data[1].csv", "pages/one.html", "pages/deep/two.html",
                 "pages/.hidden/x", "pages/__pycache__/y.pyc"):  # fmt: skip
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(place, "notebook_folder", lambda: str(root))
    return root


def declared(include):
    names = {"TaskEnvironment": TaskEnvironment}
    exec(compile(f"env = TaskEnvironment('e', include={include!r})", "<ipython-input-3-ab12>", "exec"), names)
    return names["env"]


def paths(folder, *include):
    return [file.path for file in included(declared(include), folder)]


@pytest.mark.parametrize(
    ("include", "found"),
    [
        (["a.html"], ["a.html"]),
        (["./a.html", "a.html"], ["a.html"]),
        (["pages"], ["pages/deep/two.html", "pages/one.html"]),
        (["pages/"], ["pages/deep/two.html", "pages/one.html"]),
        (["*.html"], ["a.html"]),
        (["**/*.html"], ["a.html", "pages/deep/two.html", "pages/one.html"]),
        (["pages/**"], ["pages/deep/two.html", "pages/one.html"]),
        (["p*"], ["pages/deep/two.html", "pages/one.html"]),
        (["."], ["a.html", "b.css", "data[1].csv", "pages/deep/two.html", "pages/one.html"]),
        (["data[1].csv"], ["data[1].csv"]),
        ([".env"], [".env"]),
        ([], []),
    ],
)
def test_files_folders_and_patterns(folder, include, found):
    assert sorted(paths(folder, *include)) == found


def test_an_absolute_path_inside_keeps_its_place(folder):
    assert paths(folder, str(folder / "pages" / "one.html")) == ["pages/one.html"]


def test_each_file_says_why_it_is_there(folder):
    one, two = included(declared(["a.html", "*.css"]), folder)
    assert (one.why, two.why) == ("included by 'e'", "included by 'e' (*.css)")
    assert (one.size, one.is_included, one.source) == (6, True, folder / "a.html")


@pytest.mark.parametrize(
    ("include", "told"),
    [
        ("b.html", ["environment 'e' includes 'b.html'", "did you mean 'a.html'"]),
        ("*.txt", ["includes '*.txt', which is not in"]),
        ("pages/own.html", ["includes 'pages/own.html'", "did you mean 'pages/one.html'"]),
        ("nowhere/a.htm", ["includes 'nowhere/a.htm'", "did you mean 'a.html'"]),
    ],
)
def test_what_is_missing_is_refused_with_its_path(folder, include, told):
    with pytest.raises(DeploymentError) as error:
        paths(folder, include)
    assert all(words in str(error.value) for words in [*told, str(folder)])


def test_what_lies_outside_is_refused_with_its_path(folder):
    outside = folder.parent / "secret.txt"
    with pytest.raises(DeploymentError, match=f"{outside} .* lies outside {folder}"):
        paths(folder, str(outside))


@pytest.mark.parametrize("include", ["link.txt", "*.txt", ".", "linked", "linked/secret.txt"])
def test_a_symbolic_link_out_of_the_folder_is_refused(folder, include):
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "linked").symlink_to(folder.parent)
    with pytest.raises(DeploymentError, match=f"is a symbolic link to {folder.parent}.* lies outside {folder}"):
        paths(folder, include)


def test_a_symbolic_link_inside_is_followed_once(folder):
    (folder / "again.html").symlink_to("a.html")
    (folder / "pages" / "up").symlink_to("..")
    assert paths(folder, "again.html") == ["again.html"]
    assert "pages/up/a.html" in paths(folder, "pages")


def test_a_symbolic_link_to_nothing_is_refused(folder):
    (folder / "gone.html").symlink_to("nowhere")
    with pytest.raises(DeploymentError, match=r"gone\.html .* is a symbolic link to nothing: nowhere"):
        paths(folder, "gone.html")


def test_what_is_not_a_file_is_refused(folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(DeploymentError, match=r"pipe .* is not a regular file"):
        paths(folder, "pipe")


@pytest.mark.parametrize("name", ["cells.py", "manifest.json", "captured/x.pkl"])
def test_a_name_of_the_bundles_own_is_refused(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    with pytest.raises(DeploymentError, match=f"{name}.* a bundle has a {name.partition('/')[0]} of its own"):
        paths(folder, name)


def test_a_module_anchors_at_its_own_folder(folder):
    file = folder / "pages" / "envs.py"
    names = {"TaskEnvironment": TaskEnvironment}
    exec(compile("env = TaskEnvironment('e', include=['one.html'])", str(file), "exec"), names)
    assert [f.path for f in included(names["env"], folder)] == ["pages/one.html"]
    assert Path(names["env"].place.folder) == file.parent
