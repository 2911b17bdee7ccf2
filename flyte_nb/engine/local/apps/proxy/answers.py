"""Answers: what a caller reads when the gateway answers itself, as HTML, JSON or text."""

from __future__ import annotations

import html
import json
from http import HTTPStatus

from flyte_nb.engine.local.apps.proxy.heads import listed
from flyte_nb.engine.local.apps.proxy.request import Headers, Refusal

__all__ = ["body"]

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>body{{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;
max-width:36em;padding:0 1em;color-scheme:light dark}}h1{{font-size:1.2em}}</style></head>
<body><h1>{title}</h1><p>{told}</p><p><small>The gateway of the app {name}</small></p></body></html>
"""


def body(refusal: Refusal, name: str, accepted: Headers) -> tuple[bytes, bytes]:
    """Give the media type and the body of an answer.

    Parameters
    ----------
    refusal : Refusal
        The status and what is told.
    name : str
        The app's name.
    accepted : list of pairs of bytes
        The headers of the request: its ``Accept`` decides.
    """
    title = f"{refusal.status} {HTTPStatus(refusal.status).phrase}"
    kinds = {item.partition(b";")[0].strip() for item in listed(accepted, b"accept")}
    if b"text/html" in kinds:
        page = PAGE.format(title=html.escape(title), told=html.escape(refusal.told), name=html.escape(name))
        return b"text/html; charset=utf-8", page.encode()
    if b"text/plain" in kinds and b"application/json" not in kinds:
        return b"text/plain; charset=utf-8", f"{title}\n{refusal.told}\n".encode()
    told = {"error": title, "detail": refusal.told, "app": name}
    return b"application/json", json.dumps(told).encode() + b"\n"
