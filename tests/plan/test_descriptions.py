"""What a docstring says of each input, in three styles."""

from __future__ import annotations

from flyte_nb.plan.descriptions import descriptions
from hypothesis import given
from hypothesis import strategies as st

NUMPY = """Do it.

    Parameters
    ----------
    path : str
        Where the file is,
        on this machine.
    rows, columns : int
        How many.
    bare

    Returns
    -------
    count : int
        The number.
    """
GOOGLE = """Do it.

    Args:
        path (str): Where the file is,
            on this machine.
        rows: How many.

        columns (int, optional): How many, too: more or less.

    Returns:
        int: The number.
    """
SPHINX = """Do it.

    :param path: Where the file is,
        on this machine.
    :param int rows: How many.
    :returns: The number.
    """


def test_three_styles() -> None:
    where = "Where the file is, on this machine."
    assert descriptions(NUMPY) == {"path": where, "rows": "How many.", "columns": "How many."}
    assert descriptions(GOOGLE) == {"path": where, "rows": "How many.", "columns": "How many, too: more or less."}
    assert descriptions(SPHINX) == {"path": where, "rows": "How many."}


def test_a_text_without_them() -> None:
    assert descriptions("") == {}
    assert descriptions("Note: this is no input.\n\nParameters are passed by name.") == {}
    assert descriptions("Parameters\n----------") == {}
    assert descriptions("Args:") == {}


@given(st.text(alphabet=st.sampled_from(":ab -\n()parmAgs"), max_size=200))
def test_any_text_is_read(text: str) -> None:
    assert all(name.isidentifier() or name.isdigit() for name in descriptions(text))
