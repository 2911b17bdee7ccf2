import pickle

import pytest
from flyte_nb.errors import SliceError
from flyte_nb.notebook.values import capture


def test_a_value_of_a_notebook_goes_with_the_names_it_refers_to(kernel):
    kernel.cell("class Row:\n    pass\nrow = Row()\nrow.other = row")
    captured, used = capture({"Row", "row"}, "row", kernel.namespace["row"], "In [1], line 3")
    assert used == {"Row"}
    assert isinstance(pickle.loads(captured.data), kernel.namespace["Row"])


class Unreadable:
    def __reduce__(self):
        return int, ("x",)


class Unwritable:
    def __reduce__(self):
        raise ValueError("no thanks")


@pytest.mark.parametrize(
    ("value", "why"), [(Unreadable(), "its pickle cannot be loaded .ValueError"), (Unwritable(), "no thanks")]
)
def test_what_cannot_be_written_or_read(value, why):
    with pytest.raises(SliceError, match=rf"variable 'x' of In \[1\], line 1 .*cannot leave the kernel: .*{why}"):
        capture((), "x", value, "In [1], line 1")


def test_a_widget_is_refused(kernel):
    widgets = pytest.importorskip("ipywidgets")
    with pytest.raises(SliceError, match=r"IntSlider\) cannot leave the kernel"):
        capture((), "slider", widgets.IntSlider(), "In [1], line 1")
