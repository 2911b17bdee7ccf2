"""Controls: inputs with a label and a line that says what is wrong, rows of buttons, parts that fold, hidden values.

Core ipywidgets only. Their layouts and styles are shared: one of its own costs each control a message more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flyte_nb.views import escape, shown

__all__ = [
    "HIDDEN",
    "Field",
    "Fold",
    "area",
    "button",
    "checkbox",
    "close",
    "dropdown",
    "html",
    "labelled",
    "row",
    "seen",
    "shared",
    "stack",
    "text",
]

LABEL, INPUT, WIDE = "8.5em", "22em", "31em"  # the width of a label, and of inputs with their labels
HIDDEN = "•" * 8
_MARKS = {
    "": ("", "color:var(--jp-ui-font-color2,#616161)"),
    "error": ("! ", "color:var(--jp-error-color0,#b71c1c);font-weight:600"),
    "notice": ("! ", "color:var(--jp-ui-font-color1,#212121)"),
    "changed": ("~ ", "color:var(--jp-ui-font-color1,#212121)"),
    "done": ("✓ ", "color:var(--jp-ui-font-color1,#212121)"),
}
_GONE = {"display": "none"}
_shared: dict[Any, Any] = {}


def shared(kind: Any, **values: Any) -> Any:
    """Give the layout or the style of some values: one object for all that ask for it, so it is never changed.

    Parameters
    ----------
    kind : type
        A class of layouts or styles.
    **values
        What it says.
    """
    key = (kind, *sorted(values.items()))
    found = _shared.get(key)
    if found is None or found.comm is None:  # all widgets were closed at once
        found = _shared[key] = kind(**values)
    return found


def _layout(**values: Any) -> Any:
    import ipywidgets

    return shared(ipywidgets.Layout, **values)


# --- inputs: each has a description, which is its label ---


def text(
    description: str,
    value: str = "",
    *,
    hint: str = "",
    tooltip: str = "",
    width: str = INPUT,
    label: str = LABEL,
    offers: Sequence[str] = (),
) -> Any:
    """Make a line to type in; what is typed arrives with every key.

    Parameters
    ----------
    description : str
        Its label.
    value : str
        What stands in it.
    hint : str
        What is seen while nothing does.
    tooltip : str
        More about it.
    width, label : str
        The width of both, and of the label.
    offers : sequence of str
        What may be picked in the place of typing it.
    """
    import ipywidgets

    kind = ipywidgets.Combobox if offers else ipywidgets.Text
    more = {"options": [shown(offer) for offer in offers]} if offers else {}
    hint = shown(hint) or "\u200b"
    return _labelled(kind, description, tooltip, width, label, value=value, placeholder=hint, **more)


def area(
    description: str,
    value: str = "",
    *,
    rows: int = 3,
    hint: str = "",
    tooltip: str = "",
    width: str = WIDE,
    label: str = LABEL,
) -> Any:
    """Make several lines to type in."""
    import ipywidgets

    hint = shown(hint) or "\u200b"
    return _labelled(ipywidgets.Textarea, description, tooltip, width, label, value=value, rows=rows, placeholder=hint)


def dropdown(
    description: str,
    options: Sequence[str],
    value: str,
    *,
    tooltip: str = "",
    width: str = INPUT,
    label: str = LABEL,
) -> Any:
    """Make a list to choose from; what it shows of an option has no characters that mislead."""
    import ipywidgets

    pairs = [(shown(option), option) for option in options]
    return _labelled(ipywidgets.Dropdown, description, tooltip, width, label, options=pairs, value=value)


def checkbox(description: str, value: bool, *, tooltip: str = "", width: str = INPUT) -> Any:
    """Make a box to tick, its words beside it."""
    import ipywidgets

    style = shared(ipywidgets.Checkbox.style.klass, description_width="initial")
    wide = _layout(width=width, max_width="100%", margin=f"1px 2px 1px {LABEL}")
    return ipywidgets.Checkbox(
        description=shown(description), tooltip=tooltip or None, value=value, indent=False, style=style, layout=wide
    )


def _labelled(kind: Any, description: str, tooltip: str, width: str, label: str = LABEL, **values: Any) -> Any:
    style = shared(kind.style.klass, description_width=label)
    values["layout"] = _layout(width=width, max_width="100%", margin="1px 2px")
    return kind(description=shown(description), tooltip=tooltip or None, style=style, **values)


def button(
    description: str, act: Callable[[], object], *, tooltip: str, is_main: bool = False, width: str = "auto"
) -> Any:
    """Make a button; ``act`` is called when it is pressed, so wrap it in the view's ``handler``."""
    import ipywidgets

    style = shared(ipywidgets.Button.style.klass, **({"font_weight": "600"} if is_main else {}))
    made = ipywidgets.Button(
        description=shown(description), tooltip=tooltip, style=style, layout=_layout(width=width, margin="1px 2px")
    )
    made.on_click(lambda _: act())
    return made


# --- where they stand ---


def row(*controls: Any, align: str = "baseline") -> Any:
    """Put controls beside each other; where the page is narrow, below."""
    import ipywidgets

    return ipywidgets.HBox(controls, layout=_layout(flex_flow="row wrap", align_items=align))


def stack(*controls: Any, indent: bool = False, flex: str = "") -> Any:
    """Put controls below each other; ``flex`` says how wide they are in a row."""
    import ipywidgets

    style = {"padding": "0 0 4px 1.2em"} if indent else {}
    return ipywidgets.VBox(controls, layout=_layout(**style, **({"flex": flex, "min_width": "0"} if flex else {})))


def html(value: str = "") -> Any:
    """Show HTML: whoever calls this has escaped what is in it."""
    import ipywidgets

    style = shared(ipywidgets.HTML.style.klass)
    return ipywidgets.HTML(value, style=style, layout=_layout(margin="0 2px"))


def labelled(description: str, value: str, note: str = "") -> str:
    """Give HTML that stands where a control with a label would, for what cannot be typed."""
    label = f'<span style="display:inline-block;width:{LABEL};text-align:right">{escape(description)}</span>'
    more = f' <span style="{_MARKS[""][1]}">{escape(note)}</span>' if note else ""
    return f'<div style="white-space:pre-wrap">{label} {escape(value)}{more}</div>'


def seen(widget: Any, is_seen: bool) -> None:
    """Show a control, or hide it; where it stood nothing is left."""
    usual = getattr(widget, "_usual_layout", widget.layout)
    widget._usual_layout = usual
    wanted = usual if is_seen else _layout(**_GONE)
    if widget.layout is not wanted:
        widget.layout = wanted


class Field:
    """A control with a line beside it that says what is wrong with it, or what it was.

    Parameters
    ----------
    control : ipywidgets.Widget
        The input, or a row of inputs.
    note : str, optional
        What the line says while there is nothing else to say.
    """

    def __init__(self, control: Any, note: str = "") -> None:
        self.control, self._usual = control, note
        self._line = html()
        #: both
        self.widget = row(control, self._line)
        self.tell()

    def tell(self, words: str = "", kind: str = "") -> None:
        """Say something beside the control; screen readers read it out.

        Parameters
        ----------
        words : str
            Plain text; empty for the usual note.
        kind : "" or "error" or "notice" or "changed" or "done"
            What it is; each has a sign of its own.
        """
        sign, style = _MARKS[kind if words else ""]
        words = words or self._usual
        value = f'<span role="status" style="{style}">{sign}{escape(words)}</span>' if words else ""
        if value != self._line.value:
            self._line.value = value


class Fold:
    """A part below a button that opens it; what is in it is made when it is first opened.

    ipywidgets' own accordion cannot be reached with the keyboard, and makes all of its parts at once.

    Parameters
    ----------
    title : str
        What the button says.
    make : callable
        Makes the part.
    is_open : bool
        Whether it is open at first.
    note : str, optional
        What stands beside the button, such as how many things are in the part.
    """

    def __init__(self, title: str, make: Callable[[], Any], is_open: bool = False, note: str = "") -> None:
        self.title, self._make = title, make
        self._inner: Any = None
        self.is_open = False
        self._head = button(f"▸ {title}", self.toggle, tooltip=f"Show {title}")
        self._note = Field(self._head, note)
        #: the button, and the part below it
        self.widget = stack(self._note.widget)
        if is_open:
            self.toggle()

    def toggle(self) -> None:
        """Open it, or close it."""
        self.is_open = not self.is_open
        self._head.description = f"{'▾' if self.is_open else '▸'} {shown(self.title)}"
        self._head.tooltip = f"{'Hide' if self.is_open else 'Show'} {shown(self.title)}"
        if self.is_open and self._inner is None:
            self._inner = stack(self._make(), indent=True)
            self.widget.children = (*self.widget.children, self._inner)
        elif self._inner is not None:
            seen(self._inner, self.is_open)

    def tell(self, words: str = "", kind: str = "") -> None:
        """Say something beside the button."""
        self._note.tell(words, kind)


def close(*widgets: Any) -> None:
    """Close widgets and all that is in them; what they share with others stays."""
    for widget in widgets:
        close(*getattr(widget, "children", ()))
        widget.close()
