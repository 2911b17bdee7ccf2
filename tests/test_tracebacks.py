import os
import traceback

import pytest
from flyte_nb import tracebacks
from flyte_nb.errors import DeclarationValueError, RuntimeUserError
from flyte_nb.tracebacks import PACKAGE, Frame, frames, is_cell_file, is_library, place, short, told


@pytest.mark.parametrize(
    ("file", "cell"),
    [
        ("/tmp/ipykernel_123/456789.py", True),
        ("C:\\Temp\\ipykernel_12\\34.py", True),
        ("<ipython-input-3-0a1b2c>", True),
        ("/home/me/ipykernel_notes.py", False),
        ("/tmp/ipykernel_1/module.py", False),
        ("<string>", False),
        ("", False),
    ],
)
def test_cell_files(file, cell):
    assert is_cell_file(file) is cell


@pytest.mark.parametrize("file", [PACKAGE + "session.py", "<frozen importlib._bootstrap>", "<string>",
                                  "/x/site-packages/IPython/core/shell.py"])  # fmt: skip
def test_library_files(file):
    assert is_library(file)


@pytest.mark.parametrize(
    "file", ["/home/me/flyte_nb_play.py", "/tmp/ipykernel_1/2.py", PACKAGE.rstrip("/\\") + "2/a.py"]
)
def test_the_users_files(file):
    assert not is_library(file)


def test_place_names_cells(monkeypatch):
    monkeypatch.setattr(tracebacks, "name_cell", lambda file: "In [3]")
    assert place(Frame("<ipython-input-3-ab>", 2, "f")) == "In [3], line 2"
    assert place(Frame("/a/b.py", 7, "f")) == "/a/b.py, line 7"


def test_told_leaves_out_the_library_and_what_a_magic_was_rewritten_into():
    text = told(
        [
            Frame("/a/b.py", 1, "<module>", "f()"),
            Frame(PACKAGE + "session.py", 2, "run", "inner()"),
            Frame("/a/b.py", 3, "f", "import flyte_nb as _flyte; env = 1"),
            Frame("/a/c.py", 4, "g"),
        ]
    )
    assert text == "  /a/b.py, line 1\n    f()\n  /a/b.py, line 3, in f\n  /a/c.py, line 4, in g"


def test_told_leaves_out_what_the_library_called_of_the_standard_library():
    standard = os.path.join(os.path.dirname(os.__file__), "json", "decoder.py")
    text = told(
        [
            Frame("/a/b.py", 1, "<module>"),
            Frame(PACKAGE + "verbs.py", 2, "run"),
            Frame(standard, 3, "decode"),
            Frame("/a/b.py", 4, "task"),
            Frame(standard, 5, "decode"),
        ]
    )
    assert text == f"  /a/b.py, line 1\n  /a/b.py, line 4, in task\n  {standard}, line 5, in decode"


def caught(function):
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def fail():
    raise ValueError("wrong <b>thing</b>")


def test_frames_are_outermost_first():
    listed = frames(caught(lambda: fail()).__traceback__)
    assert [f.function for f in listed] == ["caught", "<lambda>", "fail"]
    assert listed[-1].code == 'raise ValueError("wrong <b>thing</b>")'
    assert frames(None) == []


def test_short_tells_lines_then_the_error():
    first, last = short(caught(fail))
    assert first.endswith('in fail\n    raise ValueError("wrong <b>thing</b>")')
    assert last == "ValueError: wrong <b>thing</b>"


def test_short_without_a_traceback():
    assert short(ValueError("x")) == ["ValueError: x"]


def test_short_adds_the_frames_of_another_process():
    error = RuntimeUserError("ValueError", "x")
    error.remote_traceback = "  In [2], line 1"
    assert short(error) == ["  In [2], line 1", "RuntimeUserError (ValueError): x"]


def test_short_tells_the_rows_of_a_declaration():
    error = DeclarationValueError("Environment.name", "'A'", "lower case", "upper")
    (text,) = error._render_traceback_()
    assert text.split("\n") == [
        "DeclarationValueError",
        "  field     Environment.name",
        "  given     'A'",
        "  accepted  lower case",
        "  because   upper",
    ]


def test_the_standard_library_is_left_out_where_the_library_called_it():
    standard = traceback.__file__
    text = told(
        [
            Frame("/a/b.py", 1, "<module>", "f()"),
            Frame(PACKAGE + "session.py", 2, "run", "inner()"),
            Frame(standard, 3, "inner"),
            Frame("/a/c.py", 4, "g"),
            Frame(standard, 5, "called_by_the_user"),
        ]
    )
    kept = ["  /a/b.py, line 1\n    f()", "  /a/c.py, line 4, in g", f"  {standard}, line 5, in called_by_the_user"]
    assert text == "\n".join(kept)


def test_the_run_that_failed_is_named():
    error = RuntimeUserError("ValueError", "no")
    error.run = "bad-1"
    assert short(error)[-1] == "run bad-1: %flyte runs bad-1"
