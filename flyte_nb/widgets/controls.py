"""Controls: inputs with a label and a line that says what is wrong, rows of buttons, parts that fold, hidden values.

Core ipywidgets only. Their layouts and styles are shared: one of its own costs each control a message more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flyte_nb.views import escape, shown

__all__ = [
    "Field",
    "Fold",
    "area",
    "button",
    "checkbox",
    "dropdown",
    "html",
    "masked",
    "row",
    "shared",
    "stack",
    "text",
]

LABEL, INPUT = "8.5em", "22em"  # the width of a label, and of an input with its label
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


def text(description: str, value: str = "", *, hint: str = "", tooltip: str = "", width: str = INPUT) -> Any:
    """Make a line to type in; what is typed arrives with every key."""
    import ipywidgets

    return _labelled(ipywidgets.Text, description, tooltip, width, value=value, placeholder=hint or "\u200b")


def area(description: str, value: str = "", *, rows: int = 3, tooltip: str = "", width: str = "100%") -> Any:
    """Make several lines to type in."""
    import ipywidgets

    return _labelled(ipywidgets.Textarea, description, tooltip, width, value=value, rows=rows)


def dropdown(description: str, options: Sequence[str], value: str, *, tooltip: str = "", width: str = INPUT) -> Any:
    """Make a list to choose from; what it shows of an option has no characters that mislead."""
    import ipywidgets

    pairs = [(shown(option), option) for option in options]
    return _labelled(ipywidgets.Dropdown, description, tooltip, width, options=pairs, value=value)


def checkbox(description: str, value: bool, *, tooltip: str = "", width: str = INPUT) -> Any:
    """Make a box to tick, its words beside it."""
    import ipywidgets

    return _labelled(ipywidgets.Checkbox, description, tooltip, width, value=value, indent=False)


def _labelled(kind: Any, description: str, tooltip: str, width: str, **values: Any) -> Any:
    wide = {} if "indent" in values else {"description_width": LABEL}
    style = shared(kind.style.klass, **wide)
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


def row(*controls: Any) -> Any:
    """Put controls beside each other; where the page is narrow, below."""
    import ipywidgets

    return ipywidgets.HBox(controls, layout=_layout(flex_flow="row wrap", align_items="baseline"))


def stack(*controls: Any, indent: bool = False) -> Any:
    """Put controls below each other."""
    import ipywidgets

    return ipywidgets.VBox(controls, layout=_layout(**({"padding": "0 0 4px 1.2em"} if indent else {})))


def html(value: str = "") -> Any:
    """Show HTML: whoever calls this has escaped what is in it."""
    import ipywidgets

    style = shared(ipywidgets.HTML.style.klass)
    return ipywidgets.HTML(value, style=style, layout=_layout(margin="0 2px"))


def masked(description: str, why: str = "hidden, as it looks like a secret") -> Any:
    """Show that there is a value, and not the value: it never leaves the kernel."""
    label = f'<span style="display:inline-block;min-width:{LABEL};text-align:right">{escape(description)}</span>'
    return html(f'{label} {HIDDEN} <span style="{_MARKS[""][1]}">{escape(why)}</span>')


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
            self._inner.layout = _layout(padding="0 0 4px 1.2em") if self.is_open else _layout(**_GONE)

    def tell(self, words: str = "", kind: str = "") -> None:
        """Say something beside the button."""
        self._note.tell(words, kind)
