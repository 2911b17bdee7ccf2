import sys
import textwrap

import pytest
from flyte_nb.errors import DeploymentError
from flyte_nb.plan.files import one_of_each, shipped
from flyte_nb.plan.local_modules import local_modules


@pytest.fixture
def project(tmp_path):
    """A folder on the path, with modules in it."""

    def make(**files):
        for name, source in files.items():
            file = tmp_path / (name.replace("__", "/").replace("DUNDER", "__") + ".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(source))
        return tmp_path

    return make


def found(folder, source, **more):
    files = local_modules(textwrap.dedent(source), lambda line: f"In [1], line {line}", path=[str(folder)], **more)
    return {file.path: file.why for file in files}


def test_a_module_beside_the_notebook_and_why(project):
    folder = project(helpers="import json")
    assert found(folder, "\nimport helpers") == {"helpers.py": "imported by In [1], line 2"}


def test_what_a_module_imports_in_turn(project):
    folder = project(helpers="def f():\n    from more import x", more="import helpers", unused="")
    assert found(folder, "import helpers") == {
        "helpers.py": "imported by In [1], line 1",
        "more.py": "imported by helpers.py, line 2",
    }


@pytest.mark.parametrize(
    "source",
    [
        "import pkg.inner.deep",
        "from pkg.inner import deep",
        "from pkg.inner.deep import x",
        "def f():\n    import pkg.inner.deep as d",
        "if True:\n    from pkg.inner import deep as d",
    ],
)
def test_a_package_comes_with_the_packages_above(project, source):
    folder = project(pkg__DUNDERinitDUNDER="", pkg__inner__DUNDERinitDUNDER="", pkg__inner__deep="x = 1", pkg__other="")
    assert sorted(found(folder, source)) == ["pkg/__init__.py", "pkg/inner/__init__.py", "pkg/inner/deep.py"]


@pytest.mark.parametrize("line", ["from . import b", "from .b import x", "from ..pkg import b", "from .c import y"])
def test_relative_imports(project, line):
    folder = project(pkg__DUNDERinitDUNDER="", pkg__a=line, pkg__b="", pkg__c="from . import b")
    assert {"pkg/__init__.py", "pkg/a.py", "pkg/b.py"} <= set(found(folder, "import pkg.a"))


def test_relative_imports_of_a_package_itself(project):
    folder = project(pkg__DUNDERinitDUNDER="from .b import *", pkg__b="from . import c", pkg__c="")
    assert sorted(found(folder, "import pkg")) == ["pkg/__init__.py", "pkg/b.py", "pkg/c.py"]


def test_a_folder_without_init_is_a_package_too(project):
    assert sorted(found(project(space__a=""), "import space.a")) == ["space/a.py"]


def test_what_is_installed_stays_where_it_is(project):
    folder = project(json="", helpers="")
    files = local_modules("import json, pytest, sys, flyte_nb, nowhere, helpers", str, path=[*sys.path, str(folder)])
    assert [file.path for file in files] == ["helpers.py"]


def test_the_first_folder_of_the_path_wins(project, tmp_path):
    folder = project(helpers="A")
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "helpers.py").write_text("B")
    (file,) = local_modules("import helpers", str, path=[str(folder), str(tmp_path / "later")])
    assert file.source == folder / "helpers.py"


def test_the_imports_of_included_files_count(project):
    folder = project(connector="import helpers", helpers="")
    files = [shipped("connector.py", folder / "connector.py", "included by 'c'", is_included=True)]
    assert found(folder, "x = 1", files=files) == {"helpers.py": "imported by connector.py, line 1"}


def test_a_module_that_does_not_parse_travels_as_it_is(project):
    assert list(found(project(helpers="def ("), "import helpers")) == ["helpers.py"]
    assert found(project(), "import helpers, (") == {}


def test_nothing_is_imported_in_order_to_find_it(project):
    found(project(helpers="raise SystemExit", pkg__DUNDERinitDUNDER="raise SystemExit"), "import helpers, pkg.x")
    assert "helpers" not in sys.modules


def test_two_files_for_one_place_are_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    with pytest.raises(DeploymentError, match=r"would both be x\.py in the bundle"):
        one_of_each([shipped("x.py", tmp_path / name, "why") for name in ("a", "b")])
    twice = [shipped("x.py", tmp_path / "a", why) for why in ("imported", "included")]
    assert len(one_of_each(twice)) == 1
