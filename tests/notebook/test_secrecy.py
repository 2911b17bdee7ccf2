"""No secret gets into a module, or into a value beside it."""

import pytest
from flyte_nb.errors import SliceError
from flyte_nb.notebook.secrecy import check_value

LONG = "q8W3e5R7t9Y1u2I4o6P0"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", "abc"),
        ("OPENAI_API_KEY", "x" * 30),
        ("PASSWORD", "hunter2"),
        ("db_password", "x"),
        ("client_secret", "s"),
        ("GITHUB_TOKEN", "t0k"),
        ("access_token", b"bytes"),
        ("TOKEN", LONG),
        ("key", LONG),
        ("plain", "sk-proj-abcdefghijklmnopqrstuv"),
        ("plain", "ghp_" + "a" * 36),
        ("url", "postgres://me:hunter2@db.example/x"),
        ("config", {"url": "x", "api_key": "abc"}),
        ("config", {"db": {"password": "abc"}}),
        ("headers", ["sk-" + "a" * 40]),
        ("pem", "-----BEGIN RSA PRIVATE KEY-----\nMII"),
    ],
)
def test_secrets_are_refused(name, value):
    with pytest.raises(SliceError, match=r"of In \[1\], line 1 looks like a secret .*flyte\.Secret\(") as error:
        check_value(name, value, "In [1], line 1")
    texts = [value] if isinstance(value, str | bytes) else str(value).split("'")[1::2]
    assert not any(len(str(text)) > 3 and str(text) in str(error.value) for text in texts if "api" not in str(text)
                   and "password" not in str(text))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("TOKEN", "<pad>"), ("eos_token", "</s>"), ("sort_key", "size"), ("auth", "digest")],
)
def test_what_may_be_one_is_told(name, value):
    notice = check_value(name, value, "In [1], line 1")
    assert name in notice
    assert "In [1], line 1" in notice
    assert "flyte.Secret(" in notice
    assert value not in notice


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("passenger", "Jones"),
        ("tokens", ["a", "b"]),
        ("keys", {"a": 1}),
        ("PASSWORD", ""),
        ("PASSWORD", None),
        ("max_tokens", 256),
        ("text", "sk-learn is a library"),
        ("author", "someone"),
        ("monkey", "banana"),
        ("url", "https://example.com/a@b"),
        ("limit", 3),
    ],
)
def test_what_is_none_passes(name, value):
    assert check_value(name, value, "In [1], line 1") is None


# --- in a slice ---


@pytest.mark.parametrize(
    "source",
    [
        "API_KEY = 'abc'",
        "API_KEY = ''.join('abc')",
        "settings = {'password': 'abc'}",
        "import os\nAPI_KEY = os.sep + 'abc'",
    ],
)
def test_a_constant_or_a_captured_value(kernel, source):
    kernel.cell(source)
    name = "settings" if "settings" in source else "API_KEY"
    kernel.cell(f"def f(): return {name}")
    with pytest.raises(
        SliceError, match=r"variable '(API_KEY|password)' of In \[1\], line \d looks like a secret"
    ) as error:
        kernel.slice("f")
    assert "abc" not in str(error.value)


def test_reading_the_environment_is_fine(kernel, load, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", LONG)
    kernel.cell("import os\nAPI_KEY = os.environ['MY_API_KEY']\ndef f(): return API_KEY")
    module = kernel.slice("f")
    assert LONG not in module.source
    assert load(module).f() == LONG


def test_a_secret_of_the_environment_under_another_name(kernel, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", LONG)
    kernel.cell("import os\nk = os.getenv('MY_API_KEY')\nbag = [{'deep': (k,)}, 1]\ndef f(): return bag")
    with pytest.raises(SliceError, match=r"variable 'k' of In \[1\], line 2 holds the value of a secret") as error:
        kernel.slice("f")
    assert LONG not in str(error.value)


def test_a_secret_that_was_resolved(kernel):
    kernel.cell("def f(): return 'correct-horse'")
    kernel.cell("word = ''.join(['correct', '-horse'])\ndef g(): return word")
    for name in "fg":
        with pytest.raises(SliceError, match="holds the value of a secret"):
            kernel.slice(name, secrets=["correct-horse"])
    assert kernel.slice("f").captured == ()


def test_a_notice_is_part_of_the_module(kernel):
    kernel.cell("PAD_TOKEN = '<pad>'\ndef f(): return PAD_TOKEN")
    module = kernel.slice("f")
    assert "PAD_TOKEN = '<pad>'" in module.source
    assert module.notices == (
        "variable 'PAD_TOKEN' of In [1], line 1 is written into the task's module; "
        "if it is a secret, declare  flyte.Secret('PAD_TOKEN')",
    )


def test_functions_and_environments_of_such_a_name_are_no_secrets(kernel):
    kernel.cell("import flyte_nb as flyte\ndef api_key(): return 1\nfrom secrets import token_hex as token")
    kernel.cell("env = flyte.TaskEnvironment('a', secrets=['API_KEY'])\n@env.task\ndef f() -> int: return api_key()")
    assert kernel.task("a.f").notices == ()
