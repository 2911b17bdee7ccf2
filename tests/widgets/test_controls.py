"""Controls: labelled, told what is wrong with, folded, cheap; hostile text is inert and a hidden value stays hidden."""

from __future__ import annotations

import ipywidgets
import pytest
from flyte_nb.widgets import controls

HOSTILE = "<script>alert(1)</script>\u202e\x00"


@pytest.mark.parametrize(
    "made",
    [
        controls.text("memory", "1Gi", tooltip="how much"),
        controls.area("code", "x = 1", tooltip="how much"),
        controls.dropdown("cache", ["auto", "disable"], "auto", tooltip="how much"),
        controls.checkbox("interruptible", False, tooltip="how much"),
        controls.button("memory", lambda: None, tooltip="how much"),
    ],
    ids=lambda made: type(made).__name__,
)
def test_each_control_has_words_and_a_tooltip(made: ipywidgets.DOMWidget) -> None:
    assert made.description
    assert made.tooltip == "how much"
    assert not getattr(made, "description_allow_html", False)


def test_controls_share_their_layouts_and_styles() -> None:
    one, other = controls.text("a"), controls.text("b")
    assert one.layout is other.layout
    assert one.style is other.style


def test_what_was_closed_is_made_again() -> None:
    controls.text("a").layout.close()
    assert controls.text("b").layout.comm is not None


def test_a_field_says_what_is_wrong_and_takes_it_back() -> None:
    field = controls.Field(controls.text("memory"))
    field.tell()
    assert len(field.widget.children) == 1
    field.tell(f"given {HOSTILE}", "error")
    line = field.widget.children[1]
    assert '<div role="status"' in line.value
    assert "! given &lt;script&gt;" in line.value
    assert "<script" not in line.value
    assert "\u202e" not in line.value
    field.tell("was 1Gi", "changed")
    assert "~ was 1Gi" in line.value
    field.tell()
    assert line.value == ""


def test_a_fold_makes_its_part_once_and_when_it_is_opened() -> None:
    made: list[ipywidgets.Widget] = []

    def make() -> ipywidgets.Widget:
        made.append(controls.stack(controls.text("inside")))
        return made[-1]

    fold = controls.Fold("Image", make)
    head = fold.widget.children[0]
    assert (head.description, made, fold.is_open) == ("▸ Image", [], False)
    head.click()
    assert (head.description, head.tooltip, len(made), fold.is_open) == ("▾ Image", "Hide Image", 1, True)
    fold.tell("auto")
    assert [type(one).__name__ for one in fold.widget.children] == ["Button", "HTML", "VBox"]
    head.click()
    assert made[0].layout.display == "none"
    head.click()
    assert made[0].layout.display is None
    assert len(made) == 1
    assert controls.Fold("Image", make, is_open=True).widget.children[0].description == "▾ Image"


def test_what_cannot_be_typed_stands_where_a_control_would() -> None:
    told = controls.labelled(HOSTILE, controls.HIDDEN, HOSTILE)
    assert "••••" in told
    assert "<script" not in told
    assert "\u202e" not in told


def test_a_line_may_offer_what_to_pick() -> None:
    made = controls.text("environment", offers=["a", HOSTILE])
    assert type(made).__name__ == "Combobox"
    assert "\u202e" not in "".join(made.options)


def test_what_is_offered_shows_no_characters_that_mislead() -> None:
    made = controls.dropdown("image", [HOSTILE, "b"], HOSTILE)
    assert "\u202e" not in made._options_labels[0]
    assert made.value == HOSTILE


def test_what_is_hidden_and_closed() -> None:
    made = controls.text("a")
    controls.seen(made, False)
    assert made.layout.display == "none"
    controls.seen(made, True)
    assert made.layout.display is None
    box = controls.row(made)
    controls.close(box)
    assert (made.comm, box.comm) == (None, None)
