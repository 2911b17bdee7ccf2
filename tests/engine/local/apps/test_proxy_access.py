"""Who may call an app: tokens, tickets and cookies, names of the host, and what a replica sees of it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from flyte_nb.engine.local.apps.proxy.access import MOST_TICKETS, Access
from flyte_nb.engine.local.apps.proxy.heads import check, request_head
from flyte_nb.engine.local.apps.proxy.request import Refusal, Request
from hypothesis import given
from hypothesis import strategies as st

from replicas import bed, in_loop, say

TOKEN = "s3cret-token"


def asked(
    target: bytes = b"/", *headers: tuple[bytes, bytes], method: bytes = b"GET", host: bytes = b"localhost"
) -> Request:
    request = Request(lambda held: None, b"127.0.0.1")
    request.method, request.target, request.host, request.headers = method, target, host, list(headers)
    return request


def status(access: Access, request: Request) -> int:
    try:
        access.admit(request)
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        (b"Bearer s3cret-token", True),
        (b"bearer  s3cret-token ", True),
        (b"Bearer s3cret-toke", False),
        (b"Bearer", False),
        (b"s3cret-token", False),
        (b"Basic s3cret-token", False),
        (b"Bearer s3cret-token2", False),
        (b"", False),
        (b"Bearer \xff\xfe", False),
    ],
)
def test_the_token(header: bytes, admitted: bool) -> None:
    request = asked(b"/", (b"Authorization", header), (b"X", b"1"))
    assert status(Access("shop", 1, TOKEN), request) == (200 if admitted else 401)
    assert not admitted or request.headers == [(b"X", b"1")]


def test_an_authorization_of_the_apps_own_stays() -> None:
    access = Access("shop", 1, TOKEN)
    own = (b"Authorization", b"Bearer of-the-app")
    request = asked(b"/", own, (b"Cookie", b"a=1; %b=%b; b=2" % (access.cookie, bought(access))))
    assert status(access, request) == 200
    assert request.headers == [own, (b"Cookie", b"a=1; b=2")]


def bought(access: Access, target: bytes = b"/?flyte_ticket=t") -> bytes:
    access.add_ticket("t")
    with pytest.raises(Refusal) as sent_on:
        access.admit(asked(target))
    assert sent_on.value.status == 303
    [cookie] = [value for name, value in sent_on.value.headers if name == b"Set-Cookie"]
    assert cookie.endswith(b"; HttpOnly; SameSite=Lax")
    name, _, value = cookie.split(b";")[0].partition(b"=")
    assert name == access.cookie
    return value


def test_a_ticket_is_good_once_and_its_cookie_for_this_app_alone() -> None:
    access, other = Access("shop", 1, TOKEN), Access("shop", 2, TOKEN)
    cookie = bought(access)
    assert TOKEN.encode() not in cookie
    assert status(access, asked(b"/?flyte_ticket=t")) == 401
    assert status(access, asked(b"/?flyte_ticket=")) == 401
    assert status(access, asked(b"/?flyte_ticket=t", (b"Cookie", access.cookie + b"=" + cookie))) == 303
    assert status(access, asked(b"/", (b"Cookie", access.cookie + b"=" + cookie))) == 200
    assert status(access, asked(b"/", (b"Cookie", access.cookie + b"=" + cookie[:-1]))) == 401
    assert status(other, asked(b"/", (b"Cookie", other.cookie + b"=" + cookie))) == 401
    assert status(Access("shop", 1, TOKEN), asked(b"/", (b"Cookie", access.cookie + b"=" + cookie))) == 200, "restarted"
    assert status(Access("shop", 1, "new"), asked(b"/", (b"Cookie", access.cookie + b"=" + cookie))) == 401


def test_a_ticket_that_is_taken_back_is_good_no_longer() -> None:
    access = Access("a", 1, "secret", [], False)
    access.add_ticket("t")
    access.remove_ticket("t")
    access.remove_ticket("t")
    assert status(access, asked(b"/?flyte_ticket=t")) == 401


def test_a_look_ahead_does_not_use_a_ticket_up() -> None:
    access = Access("shop", 1, TOKEN)
    access.add_ticket("t")
    assert status(access, asked(b"/?flyte_ticket=t", method=b"HEAD")) == 303
    assert bought(access)


def test_unused_tickets_are_bounded() -> None:
    access = Access("shop", 1, TOKEN)
    for number in range(MOST_TICKETS + 1):
        access.add_ticket(f"t{number}")
    assert status(access, asked(b"/?flyte_ticket=t0")) == 401
    assert status(access, asked(b"/?flyte_ticket=t1")) == 303


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (b"/?flyte_ticket=t", b"./"),
        (b"/a/b?x=1&flyte_ticket=t&y=2", b"./b?x=1&y=2"),
        (b"/?flyte_ticket=t&x", b"./?x"),
        (b"/?flyte_ticket=t&flyte_to=docs%3Fa%3D1", b"./docs?a=1"),
        (b"/?flyte_ticket=t&flyte_to=//evil.example/", b"./evil.example/"),
        (b"/?flyte_ticket=t&flyte_to=a%0d%0aSet-Cookie:x", b"./aSet-Cookie:x"),
        (b"/?flyte_ticket=t&flyte_to=\\\\evil", b"./evil"),
    ],
)
def test_where_a_ticket_leads(target: bytes, place: bytes) -> None:
    access = Access("shop", 1, TOKEN)
    access.add_ticket("t")
    with pytest.raises(Refusal) as sent_on:
        access.admit(asked(target))
    assert dict(sent_on.value.headers)[b"Location"] == place


@given(st.binary(max_size=60))
def test_wherever_it_leads_stays_here(to: bytes) -> None:
    access = Access("shop", 1, TOKEN)
    access.add_ticket("t")
    with pytest.raises(Refusal) as sent_on:
        access.admit(asked(b"/?flyte_ticket=t&flyte_to=" + b"".join(b"%%%02x" % byte for byte in to)))
    assert re.fullmatch(rb"\./(?!/)[!-~]*", dict(sent_on.value.headers)[b"Location"])


@pytest.mark.parametrize(
    ("host", "known"),
    [
        (b"localhost", True),
        (b"localhost:80", True),
        (b"127.0.0.1:1", True),
        (b"127.9.9.9", True),
        (b"[::1]:8", True),
        (b"app.localhost", True),
        (b"LOCALHOST.", True),
        (b"hub.example", True),
        (b"evil.example", False),
        (b"10.0.0.1", False),
        (b"localhost.evil.example", False),
        (b"localhost@evil.example", False),
        (b"[", False),
        (b"xlocalhost", False),
        (b"", True),
    ],
)
def test_names_of_the_host(host: bytes, known: bool) -> None:
    access = Access("shop", 1, None, hosts=["hub.example"])
    assert status(access, asked(host=host)) == (200 if known else 403)
    assert status(access, asked(host=host)) == (200 if known else 403)


def test_beyond_the_loopback_interface_by_address() -> None:
    access = Access("shop", 1, None, open_address=True)
    assert status(access, asked(host=b"10.0.0.1:80")) == 200
    assert status(access, asked(host=b"evil.example")) == 403


def test_a_preflight_is_the_apps_business() -> None:
    access = Access("shop", 1, TOKEN)
    headers = [(b"Origin", b"http://a"), (b"Access-Control-Request-Method", b"POST")]
    assert status(access, asked(b"/", *headers, method=b"OPTIONS")) == 200
    assert status(access, asked(b"/", *headers[:1], method=b"OPTIONS")) == 401
    assert status(access, asked(b"/", *headers)) == 401


@given(
    st.binary(max_size=30),
    st.binary(max_size=80),
    st.lists(st.tuples(st.sampled_from([b"Cookie", b"Authorization", b"Origin"]), st.binary(max_size=60))),
)
def test_nobody_gets_in_by_chance(host: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    request = asked(b"/" + target, *headers, host=host)
    request.upgrade = b"websocket"
    assert status(Access("shop", 1, TOKEN), request) in (401, 303)


@pytest.mark.slow
@in_loop
async def test_a_browser_is_let_in_once(tmp_path: Path) -> None:
    async with bed(tmp_path, token=TOKEN) as (front, _):
        settings: dict[str, Any] = {"trust_env": False, "follow_redirects": True}
        async with httpx.AsyncClient(headers={"Accept": "text/html"}, **settings) as browser:
            locked = await browser.get(front.url)
            assert locked.status_code == 401
            assert "open the link that the notebook shows" in locked.text
            link = front.login_url
            assert link != front.login_url
            told = await browser.get(link.replace("/?", "/?flyte_to=echo&"))
            assert told.status_code == 200
            assert "flyte" not in told.text
            assert str(told.url) == f"{front.url}echo"
            assert TOKEN not in str(browser.cookies)
            assert (await browser.get(front.url)).status_code == 200
        async with httpx.AsyncClient(**settings) as stranger:
            used = await stranger.get(link)
            assert (used.status_code, used.json()["error"]) == (401, "401 Unauthorized")
            assert used.headers["www-authenticate"] == "Bearer"
            good = await stranger.get(f"{front.url}echo", headers={"Authorization": f"Bearer {TOKEN}"})
            assert TOKEN not in good.text
            assert good.json()["method"] == "GET"
        assert front.load.requests == 0 or front.load.failures == 0
        assert TOKEN not in repr(front._config)


@pytest.mark.slow
@in_loop
async def test_a_refused_upload_reads_its_answer(tmp_path: Path) -> None:
    async with bed(tmp_path, token=TOKEN) as (front, _):
        answer = await say(
            front.port, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000
        )
        assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.slow
@in_loop
async def test_a_connection_is_good_for_more_after_a_refused_body(tmp_path: Path) -> None:
    async with bed(tmp_path, token=TOKEN) as (front, _):
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        for _ in range(5):
            writer.write(head + b"x" * 200_000)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert answer.startswith(b"HTTP/1.1 401 ")
            if b"Connection: close" in answer:  # the body was not there in time
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
                continue
            await reader.readuntil(b"}\n")
        writer.close()


@pytest.mark.slow
@in_loop
async def test_the_prefix_in_front_of_the_path(tmp_path: Path) -> None:
    prefix = "/user/ada/proxy/8000"
    async with bed(tmp_path, prefix=prefix + "/") as (front, _), httpx.AsyncClient(trust_env=False) as http:
        for path, header, seen, told in [
            (f"{prefix}/echo", {}, "/echo", prefix),
            ("/echo", {"X-Forwarded-Context": prefix}, "/echo", prefix),
            ("/echo", {"X-Forwarded-Prefix": "/evil"}, "/echo", None),
            ("/echo", {}, "/echo", None),
        ]:
            answer = (await http.get(front.url.rstrip("/") + path, headers=header)).json()
            assert (answer["raw"], dict(answer["headers"]).get("x-forwarded-prefix")) == (seen, told)


@pytest.mark.parametrize(
    ("said", "proto", "prefix"),
    [
        ({}, "http", None),
        ({"X-Forwarded-Proto": "https"}, "https", None),
        ({"X-Forwarded-Proto": "https,http"}, "https", None),  # each server on the way adds what it was called by
        ({"X-Forwarded-Proto": "http, https"}, "http", None),
        ({"X-Forwarded-Proto": "WSS"}, "https", None),
        ({"X-Forwarded-Proto": "https\x80"}, "http", None),
        ({"X-Forwarded-Prefix": "/proxy/8000/", "X-Forwarded-Proto": "https"}, "https", "/proxy/8000"),
        ({"X-ProxyContextPath": "/user/a~b@c.d/proxy/8000"}, "http", "/user/a~b@c.d/proxy/8000"),
        ({"X-Forwarded-Prefix": "//evil.example"}, "http", None),
        ({"X-Forwarded-Prefix": "/a b"}, "http", None),
        ({"X-Forwarded-Prefix": "https://evil.example/"}, "http", None),
        ({"X-Forwarded-Prefix": "/"}, "http", None),
    ],
    ids=repr,
)
def test_what_a_server_of_this_machine_says_of_how_it_was_called(
    said: dict[str, str], proto: str, prefix: str | None
) -> None:
    headers = [(b"Host", b"h"), *((name.encode(), value.encode("latin-1")) for name, value in said.items())]
    near = [b"127.0.0.1", b"127.8.9.1", b"::1", b"::ffff:127.0.0.1"]
    for peer in (*near, b"10.0.0.7", b"::ffff:10.0.0.7", b"fe80::127", b"1127.0.0.1", b""):
        is_near = peer in near
        request = Request(lambda held: None, peer)
        request.method, request.target, request.headers = b"GET", b"/", list(headers)
        check(request)
        lines = request_head(request, b"").split(b"\r\n")
        assert f"X-Forwarded-Proto: {proto if is_near else 'http'}".encode() in lines
        told = [line for line in lines if line.startswith(b"X-Forwarded-Prefix")]
        assert told == ([f"X-Forwarded-Prefix: {prefix}".encode()] if is_near and prefix else [])


@pytest.mark.slow
@in_loop
async def test_an_app_behind_https_makes_links_that_say_so(tmp_path: Path) -> None:
    async with bed(tmp_path) as (front, _), httpx.AsyncClient(trust_env=False) as http:
        passed_on = {"X-Forwarded-Proto": "https,http", "X-Forwarded-Prefix": "/proxy/8000"}
        told = dict((await http.get(f"{front.url}echo", headers=passed_on)).json()["headers"])
        assert (told["x-forwarded-proto"], told["x-forwarded-prefix"]) == ("https", "/proxy/8000")


@pytest.mark.slow
@in_loop
async def test_behind_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    monkeypatch.setenv("JUPYTERHUB_HOST", "https://hub.example")
    async with bed(tmp_path, token=TOKEN) as (front, _), httpx.AsyncClient(trust_env=False) as http:
        prefix = f"/user/ada/proxy/{front.port}"
        link = front.link("echo")
        assert link.startswith(f"https://hub.example{prefix}/?flyte_ticket=")
        for kept in (link.removeprefix("https://hub.example"), front.link("echo").partition(prefix)[2]):
            passed_on = {"Host": "hub.example", "X-Forwarded-Context": prefix}
            sent_on = await http.get(f"{front.url.rstrip('/')}{kept}", headers=passed_on)
            assert (sent_on.status_code, sent_on.headers["location"]) == (303, "./echo")
            cookie = sent_on.headers["set-cookie"].partition(";")[0]
            told = (await http.get(f"{front.url}echo", headers={**passed_on, "Cookie": cookie})).json()
            assert dict(told["headers"])["x-forwarded-prefix"] == prefix
            assert "cookie" not in dict(told["headers"])
