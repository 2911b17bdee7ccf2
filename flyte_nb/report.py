"""Reports: what a task shows beside its outputs, as HTML in tabs."""

from __future__ import annotations

import html
from datetime import datetime
from pathlib import Path

from flyte_nb.context.task_context import current_context
from flyte_nb.errors import UnknownNameError
from flyte_nb.pairs import Pair, pair_method

__all__ = [
    "Report",
    "Tab",
    "Timeline",
    "abbreviate",
    "current_report",
    "duration_ms",
    "flush",
    "get_tab",
    "log",
    "replace",
]

MAIN = "main"
_PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>{title}</title></head>
<body>
{body}
</body></html>
"""


class Tab:
    """One tab of a report.

    Parameters
    ----------
    name : str
        What its heading says.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.content: list[str] = []

    def log(self, content: str) -> None:
        """Add HTML at the end."""
        self.content.append(content)

    def replace(self, content: str) -> None:
        """Put HTML in the place of everything there is."""
        self.content = [content]

    def get_html(self) -> str:
        """Give what it holds, one piece a line."""
        return "\n".join(self.content)


class Report:
    """The report of one action.

    Parameters
    ----------
    name : str
        The title of the page.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.tabs: dict[str, Tab] = {MAIN: Tab(MAIN)}

    def __repr__(self) -> str:
        return f"Report({self.name!r}, tabs={list(self.tabs)})"

    def has_content(self) -> bool:
        """Tell whether any tab holds anything."""
        return any(tab.content for tab in self.tabs.values())

    def get_tab(self, name: str, create_if_missing: bool = True) -> Tab:
        """Give a tab.

        Raises
        ------
        ValueError
            When there is none of that name and none is to be made.
        """
        if name not in self.tabs:
            if not create_if_missing:
                raise UnknownNameError("tab", name, self.tabs)
            self.tabs[name] = Tab(name)
        return self.tabs[name]

    def get_final_report(self) -> str:
        """Give the page as HTML text, always; the main tab is left out when it is empty."""
        shown = [tab for tab in self.tabs.values() if tab.content or tab.name != MAIN]
        body = "\n".join(f"<section><h2>{html.escape(tab.name)}</h2>\n{tab.get_html()}\n</section>" for tab in shown)
        return _PAGE.format(title=html.escape(self.name), body=body)


def current_report() -> Report:
    """Give the report of the running task; outside one a new report that nobody keeps."""
    context = current_context.get()
    return context.report if context is not None and context.report is not None else Report("no task")


def get_tab(name: str, create_if_missing: bool = True) -> Tab:
    """Give a tab of the current report.

    Raises
    ------
    ValueError
        When there is none of that name and none is to be made.
    """
    return current_report().get_tab(name, create_if_missing)


@Pair
def log(content: str, do_flush: bool = False) -> None:
    """Add HTML to the main tab of the current report.

    Parameters
    ----------
    content : str
        HTML.
    do_flush : bool
        Write the report at once.
    """
    get_tab(MAIN).log(content)
    if do_flush:
        flush()


@Pair
def replace(content: str, do_flush: bool = False) -> None:
    """Put HTML in the place of the main tab of the current report.

    Parameters
    ----------
    content : str
        HTML.
    do_flush : bool
        Write the report at once.
    """
    get_tab(MAIN).replace(content)
    if do_flush:
        flush()


@Pair
def flush() -> None:
    """Write the current report to ``report.html`` in ``flyte.ctx().output_path``; outside a task nothing is written."""
    context = current_context.get()
    if context is None or not context.output_path:
        return
    folder = Path(context.output_path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(current_report().get_final_report(), encoding="utf-8")


_FOLDED = (
    "<details style='display:inline-block;vertical-align:top;max-width:100%'>"
    "<summary style='cursor:pointer'>{start}… (+{more})</summary>"
    "<pre style='white-space:pre-wrap;overflow-wrap:anywhere;margin:.3em 0'>{whole}</pre></details>"
)
_MOST = 20_000


def abbreviate(value: object, limit: int = 300) -> str:
    """Give a value as escaped HTML: a long text is folded, and opens where it stands.

    Parameters
    ----------
    value : object
        Anything; None gives nothing.
    limit : int
        How many characters are seen unopened; 20,000 are kept at most.
    """
    text = "" if value is None else str(value)
    if len(text) <= limit:
        return html.escape(text)
    whole = text if len(text) <= _MOST else f"{text[:_MOST]}… ({len(text) - _MOST} more characters are left out)"
    return _FOLDED.format(start=html.escape(text[:limit]), more=len(text) - limit, whole=html.escape(whole))


def duration_ms(start_iso: object, end_iso: object) -> str:
    """Give the time between two moments in ISO form as ``"12 ms"``; empty where one of them is not a moment."""
    try:
        start, end = (datetime.fromisoformat(str(moment).replace("Z", "+00:00")) for moment in (start_iso, end_iso))
        return f"{round((end - start).total_seconds() * 1000)} ms"
    except (TypeError, ValueError):
        return ""


class Timeline:
    """Rows of what happened, one after the other, in a tab of the current report.

    Outside a task they go nowhere, as everything that is reported there.

    Parameters
    ----------
    tab_name : str
        The tab.
    """

    def __init__(self, tab_name: str = MAIN) -> None:
        self._tab_name = tab_name

    @pair_method
    def heading(self, text: object) -> None:
        """Add a heading, and write the report."""
        self._add(f"<h3>{html.escape(str(text))}</h3>")

    @pair_method
    def row(
        self, *, icon: str = "•", label: object = "", meta: str = "", detail: str = "", error: object = None
    ) -> None:
        """Add a row, and write the report.

        Parameters
        ----------
        icon : str
            What stands before it.
        label : object
            What happened.
        meta : str
            What is said of it in small print, such as how long it took.
        detail : str
            More of it, as HTML: `abbreviate` makes it of a value.
        error : object, optional
            What went wrong.
        """
        pieces = [f"<span>{html.escape(icon)}</span> <b>{html.escape(str(label))}</b>"]
        pieces += [f"<small>{html.escape(meta)}</small>"] if meta else []
        pieces += [f"<div>{detail}</div>"] if detail else []
        pieces += [f"<div role='alert'>error: {abbreviate(error)}</div>"] if error is not None else []
        self._add(f"<div style='margin:.3em 0'>{' '.join(pieces)}</div>")

    def _add(self, content: str) -> None:
        get_tab(self._tab_name).log(content)
        flush()
