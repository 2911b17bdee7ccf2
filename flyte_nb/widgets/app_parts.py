"""The parts of a live card: what an app is, its traffic, its replicas, its last lines; each is sent when it changes."""

from __future__ import annotations

from datetime import datetime

from flyte_nb.engine.local.apps.spec import AppPhase
from flyte_nb.views import Table, escape, shown
from flyte_nb.widgets.apps import AppRecord, label_of, told_callers, told_latency, told_replicas, told_requests
from flyte_nb.widgets.sparkline import picture
from flyte_nb.widgets.tail import pre

__all__ = ["head", "log", "marked", "replicas", "traffic"]

SIGNS = {
    AppPhase.STARTING: "○",
    AppPhase.ACTIVE: "▶",
    AppPhase.IDLE: "○",
    AppPhase.RESTARTING: "○",
    AppPhase.STOPPING: "■",
    AppPhase.STOPPED: "■",
    AppPhase.FAILED: "✗",
}
_MUTED = "color:var(--jp-ui-font-color2,#616161)"
_FONT = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:var(--jp-ui-font-size1,13px);"
    "color:var(--jp-ui-font-color1,#212121);line-height:1.5"
)
_PILL = (
    "display:inline-block;border:1px solid var(--jp-border-color1,#bdbdbd);border-radius:8px;padding:0 8px;"
    "margin-left:8px"
)


def marked(phase: AppPhase) -> str:
    """Give a phase with its sign."""
    return f"{SIGNS[phase]} {phase.value}"


def head(app: AppRecord) -> str:
    """Show what an app is: its name, where it stands, its address and pages."""
    pills = "".join(f'<span style="{_PILL};{_MUTED}">{escape(word)}</span>' for word in ("app", marked(app.phase)))
    way = ": Open gives a way in" if app.has_pages else ""
    note = told_callers(app) + (way if app.needs_token else "")
    can_open = app.has_pages and app.phase not in (AppPhase.STOPPED, AppPhase.FAILED)
    pages = [(f"{app.url.rstrip('/')}/{path.lstrip('/')}", title) for path, title in app.links]
    lines = [f"<strong>{escape(app.name)}</strong>{pills}"]
    lines += [
        f'{_address(url, can_open)} <span style="{_MUTED}">{escape(text)}</span>'
        for url, text in [(app.url or "no address yet", note), *pages]
    ]
    if app.place:
        lines.append(f'<span style="{_MUTED}">served by</span> {escape(app.place)}')
    if app.why and app.phase is AppPhase.FAILED:
        lines.append(f'<span style="color:var(--jp-error-color1,#c62828)">✗ failed:</span> {escape(app.why)}')
    elif app.why:
        lines.append(f'<span style="{_MUTED}">{label_of(app)}</span> {escape(app.why)}')
    return _block("".join(f"<div>{line}</div>" for line in lines))


def _address(url: str, can_open: bool) -> str:
    """Show an address; as a link only where that opens what it says: of the web, and without what is not seen."""
    told = f'<span style="font-family:var(--jp-code-font-family,monospace)">{escape(url)}</span>'
    if not (can_open and url.startswith(("http://", "https://")) and shown(url) == url):
        return told
    link = "color:var(--jp-content-link-color,#1565c0);text-decoration:underline"
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer" style="{link}">{told}</a>'


def traffic(app: AppRecord) -> str:
    """Show what there is to do, and what there was in the last minute."""
    if app.load is None:
        return ""
    rates, latencies = app.history
    words = told_requests(app.load)
    latency = told_latency(app.load)
    told = f"<div>{escape(words)}{escape(f' · half were answered within {latency}') if latency else ''}</div>"
    if not any(rates):
        return _block(told)
    most, slowest = f"{max(rates):.1f} per second", f"{max(latencies) * 1e3:.1f} ms"
    pictures = [
        (f"requests, at most {most}", picture(rates, f"requests per second over the last minute, at most {most}")),
        (f"latency, at most {slowest}", picture(latencies, f"latency over the last minute, at most {slowest}")),
    ]
    drawn = "".join(
        f'<div style="flex:1 1 14em"><div style="{_MUTED}">{escape(label)}</div>{svg}</div>' for label, svg in pictures
    )
    return _block(f'{told}<div style="display:flex;flex-wrap:wrap;gap:4px 24px">{drawn}</div>')


def replicas(app: AppRecord) -> str:
    """Show the replicas, a line each."""
    if not app.replicas or app.load is None:
        return _block(f'<div style="{_MUTED}">replicas: {escape(told_replicas(app))}</div>')
    rows = [
        (r.id, marked(r.phase), f"since {_clock(r.since)}", str(app.load.per_backend.get(r.id, 0)), str(r.pid or ""),
         str(r.port or ""), r.version[:12], r.note)
        for r in app.replicas
    ]  # fmt: skip
    headings = ("replica", "stands", "", "in flight", "process", "port", "version", "note")
    used = [n for n in range(len(headings)) if n < 4 or any(row[n] for row in rows)]
    return _block(Table([headings[n] for n in used], [[row[n] for n in used] for row in rows]).body())


def log(app: AppRecord) -> str:
    """Show the last lines that the replicas printed."""
    rule = "border-left:3px solid var(--jp-border-color1,#bdbdbd)"
    lines = f'<div style="{_MUTED}">log</div><div style="{rule}">{pre(list(app.lines))}</div>'
    return _block(lines) if app.lines else ""


def _clock(time: datetime) -> str:
    return time.astimezone().strftime("%H:%M:%S")


def _block(html: str) -> str:
    return f'<div style="{_FONT}">{html}</div>'
