"""Characters that mislead are made visible, and what is very long is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from flyte_nb.errors import UsageError
from flyte_nb.visible import bounded_lines, visible
from hypothesis import given
from hypothesis import strategies as st

from kernels import Kernel
from scripts import ran, written


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = visible(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    assert "\u202e" not in shown
    assert visible(shown) == shown
    assert len(bounded_lines(text).split("\n")) <= 301


def test_what_is_very_long_is_cut_and_its_length_told() -> None:
    assert bounded_lines("x" * 5000) == f"{'x' * 1000}… (5,000 characters)"
    lines = bounded_lines("\n".join(map(str, range(1000)))).split("\n")
    assert (lines[0], lines[150], lines[-1]) == ("0", "… 700 lines left out", "999")


def test_an_error_shows_its_message_so() -> None:
    with pytest.raises(UsageError) as raised:
        raise UsageError("evil \u202e \x1b[2J" + "y" * 5000)
    (*_, last) = raised.value._render_traceback_()
    assert last.startswith("UsageError: evil \\u202e \\x1b[2J")
    assert last.endswith("characters)")
    assert str(raised.value).endswith("y"), "the message itself is kept"


def test_in_a_cell(kernel: Kernel) -> None:
    message = "chr(27) + '[2J' + chr(8238) + 'z' * 9000"
    kernel.run("env = flyte.TaskEnvironment('e')")
    kernel.run(f"@env.task\ndef evil() -> int:\n    raise ValueError({message})")
    error = kernel.run("flyte.run(evil)", fails=True).error
    assert "RuntimeUserError (ValueError): \\x1b[2J\\u202ezzz" in error
    assert "\x1b[2J" not in error
    assert len(error) < 3000
    assert "%flyte runs evil-" in error


def test_in_a_shell(tmp_path: Path) -> None:
    written(tmp_path / "s.py", """
        import flyte_nb as flyte
        env = flyte.TaskEnvironment(name="e")
        @env.task
        def evil() -> int:
            raise ValueError(chr(27) + "[2J")
        if __name__ == "__main__":
            flyte.deploy(env)
    """)  # fmt: skip
    assert ran(["s.py"], tmp_path).returncode == 0
    done = ran(["-m", "flyte_nb", "call", "e.evil"], tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("flyte-nb: ValueError: \\x1b[2J\n")
    assert "\x1b[2J" not in done.stderr
