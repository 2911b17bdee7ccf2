"""Access: who may call an app, and by which name of the host.

A caller shows the app's token, or the cookie that a one-time ticket has bought. Neither reaches the replica.
Where no token is asked for, the name by which the host is called has to be a loopback one or a configured one: a page
of another site can have its own name point here, but cannot have the browser send another name, nor our cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from flyte_nb.engine.local.apps.proxy.heads import values
from flyte_nb.engine.local.apps.proxy.request import Refusal, Request

__all__ = ["TICKET", "Access"]

TICKET = b"flyte_ticket"
TO = b"flyte_to"
LOCKED = (
    "Show the app's token, as 'Authorization: Bearer TOKEN'. In a browser, open the link that the notebook shows for "
    "this app; each link lets one browser in."
)
USED = "This link has been used, or is of an app that was served before. Open a new one: the notebook shows it."
MOST_TICKETS = 256  # unused ones; the oldest go first
_TICKETS = re.compile(rb"(?:^|&)flyte_ticket=[^&]*")
_LOCAL = re.compile(r"(.+\.)?localhost\.?")


class Access:
    """Decides who may call one app.

    Parameters
    ----------
    name : str
        The app's name.
    port : int
        The port of its gateway: with the name it makes the cookie's name, which is another for each app.
    token : str, optional
        What callers have to show; None lets everybody in.
    hosts : iterable of str
        Names of the host beside those of the loopback interface.
    open_address : bool
        Whether the gateway listens beyond the loopback interface: it may then be called by any IP address.
    """

    def __init__(
        self, name: str, port: int, token: str | None, hosts: Iterable[str] = (), open_address: bool = False
    ) -> None:
        self._token = None if token is None else token.encode()
        self._hosts = {host.lower().rstrip(".") for host in hosts}
        self._open = open_address
        if open_address:
            self._hosts.add(socket.gethostname().lower())
        self._known: dict[bytes, bool] = {}
        self._tickets: dict[bytes, None] = {}
        self.cookie = f"flyte-nb-{name}-{port}".encode()
        self._pass = hmac.digest(self._token or b"", self.cookie, "sha256").hex().encode()

    def add_ticket(self, ticket: str) -> None:
        """Accept a ticket, once."""
        self._tickets[hashlib.sha256(ticket.encode()).digest()] = None
        while len(self._tickets) > MOST_TICKETS:
            del self._tickets[next(iter(self._tickets))]

    def remove_ticket(self, ticket: str) -> None:
        """Accept a ticket no more, though nobody has used it."""
        self._tickets.pop(hashlib.sha256(ticket.encode()).digest(), None)

    def admit(self, request: Request) -> None:
        """Let a request through, without what it has shown.

        Raises
        ------
        Refusal
            When it is not admitted: 401 or 403, or 303 where a ticket has bought a cookie.
        """
        if self._token is None:
            self._check_host(request.host)
            by_header = False
        else:
            if TICKET in request.target:
                self._redeem(request)
            by_header = self._shows_token(request)
            by_cookie = self._shows_cookie(request)
            if not (by_header or by_cookie or is_preflight(request)):
                raise Refusal(401, LOCKED, [(b"WWW-Authenticate", b"Bearer")])
        if request.upgrade and not by_header:
            self._check_origin(request)

    def _shows_token(self, request: Request) -> bool:
        assert self._token is not None
        for header in request.headers:
            scheme, _, shown = header[1].partition(b" ")
            bearer = header[0].lower() == b"authorization" and scheme.lower() == b"bearer"
            if bearer and hmac.compare_digest(shown.strip(), self._token):
                request.headers.remove(header)
                return True
        return False

    def _shows_cookie(self, request: Request) -> bool:
        """Tell whether a request has the cookie, and take it out."""
        shown = False
        for place, (name, value) in enumerate(request.headers):
            if name.lower() == b"cookie" and self.cookie in value:
                pairs = [pair.strip() for pair in value.split(b";")]
                own = [pair.partition(b"=")[2] for pair in pairs if pair.startswith(self.cookie + b"=")]
                shown = shown or any(hmac.compare_digest(value, self._pass) for value in own)
                rest = b"; ".join(pair for pair in pairs if not pair.startswith(self.cookie + b"="))
                request.headers[place] = (name, rest)
        request.headers[:] = [pair for pair in request.headers if pair[1] or pair[0].lower() != b"cookie"]
        return shown

    def _redeem(self, request: Request) -> None:
        """Send a caller who has a ticket on to the page without it; with the cookie, if the ticket is good."""
        path, _, query = request.target.partition(b"?")
        found = _fields(query)
        if TICKET not in found:
            return
        headers = [(b"Referrer-Policy", b"no-referrer")]
        if request.method == b"GET":
            if self._take(found[TICKET]):
                # without a path it holds for where the browser sees this page, under whatever prefix that is
                headers.append((b"Set-Cookie", b"%b=%b; HttpOnly; SameSite=Lax" % (self.cookie, self._pass)))
            elif not self._shows_cookie(request):
                raise Refusal(401, USED, [(b"WWW-Authenticate", b"Bearer"), *headers])
        raise Refusal(303, "Go on.", [*headers, (b"Location", _without_ticket(path, query))])

    def _take(self, ticket: bytes) -> bool:
        digest = hashlib.sha256(ticket).digest()
        found = [known for known in self._tickets if hmac.compare_digest(known, digest)]
        for known in found:
            del self._tickets[known]
        return bool(found)

    def _check_host(self, host: bytes) -> None:
        known = self._known.get(host)
        if known is None:
            if len(self._known) > 1000:
                self._known.clear()
            known = self._known[host] = not host or self._is_own(host)
        if not known:
            raise Refusal(403, "This app is not known by the host name of the request. Call it by localhost, or have "
                          "the name added to those that the app may be called by.")  # fmt: skip

    def _is_own(self, host: bytes) -> bool:
        try:
            word = (urlsplit(b"//" + host).hostname or b"").decode("latin-1").rstrip(".")
        except ValueError:  # an open bracket
            return False
        if word in self._hosts or _LOCAL.fullmatch(word):
            return True
        try:
            address = ipaddress.ip_address(word)
        except ValueError:
            return False
        return address.is_loopback or self._open

    def _check_origin(self, request: Request) -> None:
        """See that a WebSocket is opened by a page of this app: browsers let any page open one."""
        for origin in values(request.headers, b"origin"):
            try:
                parts = urlsplit(origin)
            except ValueError:
                parts = urlsplit(b"")
            default = b":443" if parts.scheme == b"https" else b":80"
            if parts.netloc.lower().removesuffix(default) == request.host.lower().removesuffix(default):
                continue
            if (parts.hostname or b"").decode("latin-1") not in self._hosts:
                raise Refusal(403, "A page of another site may not open a WebSocket to this app.")


def is_preflight(request: Request) -> bool:
    """Tell whether a browser asks what another site's page may do; it cannot show anything, and the app decides."""
    return (
        request.method == b"OPTIONS" and not request.has_body and bool(values(request.headers, b"origin"))
        and bool(values(request.headers, b"access-control-request-method"))
    )  # fmt: skip


def _without_ticket(path: bytes, query: bytes) -> bytes:
    """Give the place of a page, seen from that page, without the ticket; from the first page, where it is to lead."""
    rest = _TICKETS.sub(b"", query).lstrip(b"&")
    to = _fields(rest).get(TO)
    if to is not None:
        place = re.sub(rb"[^!-\[\]-~]", b"", to).lstrip(b"/")
        return b"./" + place
    return b"./" + path.rpartition(b"/")[2] + (b"?" + rest if rest else b"")


def _fields(query: bytes) -> dict[bytes, bytes]:
    pairs = parse_qsl(query.decode("latin-1"), encoding="latin-1")
    return {name.encode("latin-1"): value.encode("latin-1") for name, value in pairs}
