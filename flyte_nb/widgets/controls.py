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
    "apart",
    "area",
    "button",
    "checkbox",
    "close",
    "close_lines",
    "dropdown",
    "html",
    "labelled",
    "narrowing",
    "row",
    "seen",
    "shared",
    "stack",
    "text",
]

LABEL, SHORT, INPUT, WIDE = "8.5em", "17em", "22em", "31em"  # the width of a label, and of inputs with labels
HIDDEN = "•" * 8
#: red, but dark or light enough to be read in every theme
_RED = (
    "color:var(--jp-ui-font-color1,#212121);"
    "color:color-mix(in srgb,var(--jp-error-color1,#c62828) 65%,var(--jp-ui-font-color1,#212121))"
)
_MARKS = {
    "": ("", "color:var(--jp-ui-font-color2,#616161)"),
    "error": ("! ", f"{_RED};font-weight:600"),
    "notice": ("! ", "color:var(--jp-ui-font-color1,#212121)"),
    "changed": ("~ ", "color:var(--jp-ui-font-color1,#212121)"),
    "done": ("✓ ", "color:var(--jp-ui-font-color1,#212121)"),
}
_GONE = {"display": "none"}
_CLOSE = "line-height:1.4"  # ipywidgets puts lines as far apart as controls
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
    width: str = "calc(100% - 4px)",
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


def checkbox(description: str, value: bool, *, tooltip: str = "", width: str = INPUT, is_indented: bool = False) -> Any:
    """Make a box to tick, its words beside it; indented it stands where other controls have theirs."""
    import ipywidgets

    style = shared(ipywidgets.Checkbox.style.klass, description_width="initial")
    wide = _layout(
        width=width, max_width="100%", margin=f"1px 2px 1px {f'calc({LABEL} + 8px)' if is_indented else '2px'}"
    )
    return ipywidgets.Checkbox(
        description=shown(description), tooltip=tooltip or None, value=value, indent=False, style=style, layout=wide
    )


def _labelled(kind: Any, description: str, tooltip: str, width: str, label: str = LABEL, **values: Any) -> Any:
    style = shared(kind.style.klass, description_width=label)
    values["layout"] = _layout(width=width, max_width="100%", margin="1px 2px")
    return kind(description=shown(description), tooltip=tooltip or None, style=style, **values)


def button(
    description: str,
    act: Callable[[], object],
    *,
    tooltip: str,
    is_main: bool = False,
    is_plain: bool = False,
    width: str = "auto",
    can: bool = True,
) -> Any:
    """Make a button; ``act`` is called when it is pressed, so wrap it in the view's ``handler``.

    Parameters
    ----------
    description : str
        What it says.
    act : callable
        Is called without arguments.
    tooltip : str
        What it does, and the function that does the same.
    is_main : bool
        Whether it is what one does in the end.
    is_plain : bool
        Whether it looks like a heading.
    width : str
        Its width.
    can : bool
        Whether it can be pressed.
    """
    import ipywidgets

    bold = {"font_weight": "600"} if is_main or is_plain else {}
    style = shared(ipywidgets.Button.style.klass, **bold, **({"button_color": "transparent"} if is_plain else {}))
    layout = _layout(width=width, margin="1px 2px")
    made = ipywidgets.Button(
        description=shown(description), tooltip=shown(tooltip), disabled=not can, style=style, layout=layout
    )
    made.on_click(lambda _: act())
    return made


# --- where they stand ---


def row(*controls: Any, align: str = "baseline") -> Any:
    """Put controls beside each other; where the page is narrow, below."""
    import ipywidgets

    return ipywidgets.HBox(controls, layout=_layout(flex_flow="row wrap", align_items=align))


def apart(*controls: Any) -> Any:
    """Put controls beside each other with a gap between them, so that each box is nearest to its own words."""
    import ipywidgets

    return ipywidgets.HBox(controls, layout=_layout(flex_flow="row wrap", align_items="baseline", grid_gap="0 16px"))


def stack(*controls: Any, indent: bool = False, flex: str = "") -> Any:
    """Put controls below each other; ``flex`` says how wide they are in a row."""
    import ipywidgets

    style = {"padding": "0 0 4px 1.2em"} if indent else {}
    return ipywidgets.VBox(controls, layout=_layout(**style, **({"flex": flex, "min_width": "0"} if flex else {})))


def close_lines(inner: str) -> str:
    """Give HTML with its lines as close as those of text; in a widget they are as far apart as controls."""
    return f'<div style="{_CLOSE}">{inner}</div>' if inner else ""


def narrowing(control: Any, least: str, most: str) -> Any:
    """Let a control give way to what stands beside it, before that goes to the next line."""
    control.layout = _layout(flex=f"1 1 {least}", min_width="0", max_width=most, margin="1px 2px")
    return control


def html(value: str = "") -> Any:
    """Show HTML: whoever calls this has escaped what is in it."""
    import ipywidgets

    style = shared(ipywidgets.HTML.style.klass)
    return ipywidgets.HTML(value, style=style, layout=_layout(margin="0 2px"))


def labelled(description: str, value: str, note: str = "") -> str:
    """Give HTML that stands where a control with a label would, for what cannot be typed."""
    wide = f"flex:none;width:{LABEL};text-align:right;overflow-wrap:anywhere"
    label = f'<span style="{wide}">{escape(description)}</span>'
    more = f' <span style="{_MARKS[""][1]}">{escape(note)}</span>' if note else ""
    held = f'<span style="min-width:0;overflow-wrap:anywhere">{escape(value)}{more}</span>' if value or note else ""
    return f'<div style="display:flex;gap:8px">{label}{held}</div>'


def seen(widget: Any, is_seen: bool) -> None:
    """Show a control, or hide it; where it stood nothing is left."""
    usual = getattr(widget, "_usual_layout", widget.layout)
    widget._usual_layout = usual
    wanted = usual if is_seen else _layout(**_GONE)
    if widget.layout is not wanted:
        widget.layout = wanted


_BESIDE = {"margin": "0 2px", "flex": "1 1 11em", "min_width": "11em"}
_BELOW = {"margin": f"0 2px 2px calc({LABEL} + 10px)", "flex": "1 1 100%"}


class Field:
    """Controls with a line beside them that says what is wrong, or what it was.

    Parameters
    ----------
    *controls : ipywidgets.Widget
        The input, or several that belong together.
    is_labelled : bool
        Whether the first has a label: what is said then stands below it, where its input begins.
    """

    def __init__(self, *controls: Any, is_labelled: bool = False) -> None:
        self._place_of_line = _BELOW if is_labelled else _BESIDE
        self.control = controls[0] if controls else None
        self._line: Any = None
        #: the controls, and the line
        self.widget = row(*controls)

    def tell(self, words: str = "", kind: str = "") -> None:
        """Say something beside the controls; screen readers read it out.

        Parameters
        ----------
        words : str
            Plain text; empty to take back what was said.
        kind : "" or "error" or "notice" or "changed" or "done"
            What it is; each has a sign of its own.
        """
        sign, style = _MARKS[kind]
        value = f'<div role="status" style="{_CLOSE};{style}">{sign}{escape(words)}</div>' if words else ""
        if self._line is None and value:  # most lines never say anything
            self._line = html(value)
            self._line.layout = _layout(**self._place_of_line)
            self._place(self._line)
        elif self._line is not None and value != self._line.value:
            self._line.value = value

    def _place(self, line: Any) -> None:
        self.widget.children = (*self.widget.children, line)


class Fold(Field):
    """A part below a button that opens it; what is in it is made when it is first opened.

    ipywidgets' own accordion cannot be reached with the keyboard, and makes all of its parts at once.

    Parameters
    ----------
    title : str
        What the button says; ``tell`` says something beside it.
    make : callable
        Makes the part.
    is_open : bool
        Whether it is open at first.
    toggled : callable, optional
        Hears when it was opened or closed.
    """

    def __init__(
        self,
        title: str,
        make: Callable[[], Any],
        is_open: bool = False,
        toggled: Callable[[], object] = lambda: None,
    ) -> None:
        self.title, self._make, self.is_open, self._toggled = shown(title), make, is_open, toggled
        words, tooltip = self._worded()
        self._head = button(words, self.toggle, tooltip=tooltip, is_plain=True)
        self._inner: Any = self._made() if is_open else None
        super().__init__(self._head, *([self._inner] if is_open else []))

    def _worded(self) -> tuple[str, str]:
        return (f"▾ {self.title}", f"Hide {self.title}") if self.is_open else (f"▸ {self.title}", f"Show {self.title}")

    def _made(self) -> Any:
        made = self._make()
        inner = made if hasattr(made, "children") else stack(made)
        inner.layout = _layout(flex="1 1 100%", padding="0 0 6px 1.2em", min_width="0")
        return inner

    def _place(self, line: Any) -> None:
        head, *inner = self.widget.children
        self.widget.children = (head, line, *inner)

    def toggle(self) -> None:
        """Open it, or close it."""
        self.is_open = not self.is_open
        with self._head.hold_sync():
            self._head.description, self._head.tooltip = self._worded()
        if self.is_open and self._inner is None:
            self._inner = self._made()
            self.widget.children = (*self.widget.children, self._inner)
        else:
            seen(self._inner, self.is_open)
        self._toggled()


def close(*widgets: Any) -> None:
    """Close widgets and all that is in them; what they share with others stays."""
    for widget in widgets:
        close(*getattr(widget, "children", ()))
        widget.close()
