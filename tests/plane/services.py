"""The services of the protocol, mounted by path; what stands before each call: the log, the token, the faults."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import flyteidl2
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from google.protobuf.json_format import MessageToDict

from plane.calls import Call, Calls
from plane.clients import Clients
from plane.faults import Faults


@dataclass
class Wire:
    """The connection of a call; a test may have it cut."""

    is_cut: bool = False


#: the connection of the call that is being answered
wire: ContextVar[Wire] = ContextVar("wire")


def mounted(given: Iterable[Any], gate: Gate) -> Iterator[tuple[str, Any]]:
    """Give an application for every service of the protocol, by its full name; one not given answers UNIMPLEMENTED."""
    own = {base: service for service in given for base in type(service).__mro__}
    for found in pkgutil.walk_packages(flyteidl2.__path__, "flyteidl2."):
        if found.name.endswith("_connect"):
            module = importlib.import_module(found.name)
            for name, kind in vars(module).items():
                if f"{name}ASGIApplication" in vars(module) and isinstance(kind, type):
                    service = own.get(kind) or type(name, (kind,), {})()
                    app = getattr(module, f"{name}ASGIApplication")(service, interceptors=[gate])
                    yield app.path.strip("/"), app


class Gate:
    """Stands before every call: notes it, checks who asks, and lets faults strike."""

    def __init__(self, calls: Calls, faults: Faults, clients: Clients) -> None:
        self._calls, self._faults, self._clients = calls, faults, clients

    async def intercept_unary(self, call_next: Any, request: Any, ctx: Any) -> Any:
        call = self._noted(request, ctx)
        try:
            await self._struck(call, ctx)
            answer = await call_next(request, ctx)
        except ConnectError as error:
            call.answer = error.code.value
            raise
        if self._faults.striking("cut", call.rpc):
            _cut(call)
        call.answer = "ok"
        return answer

    async def intercept_server_stream(self, call_next: Any, request: Any, ctx: Any) -> AsyncIterator[Any]:
        call = self._noted(request, ctx)
        call.answer, cut, told = "open", self._faults.striking("cut", call.rpc), 0
        try:
            await self._struck(call, ctx)
            async for message in call_next(request, ctx):
                if cut is not None and told == cut.after:
                    _cut(call)
                yield message
                told += 1
        except ConnectError as error:
            call.answer = error.code.value
            raise
        except GeneratorExit:
            call.answer = "client left"
            raise
        call.answer = "ok"

    def _noted(self, request: Any, ctx: Any) -> Call:
        method = ctx.method()
        rpc = f"{method.service_name.rpartition('.')[2]}.{method.name}"
        asked = MessageToDict(request, preserving_proto_field_name=True)
        asked.pop("secret_spec", None)  # no secret in a log
        return self._calls.add(rpc, asked)

    async def _struck(self, call: Call, ctx: Any) -> None:
        if fault := self._faults.striking("slow", call.rpc):
            await asyncio.sleep(fault.seconds)
        self._clients.check(call.rpc, ctx.request_headers())
        if fault := self._faults.striking("fail", call.rpc):
            raise ConnectError(Code(fault.code), fault.message)


def _cut(call: Call) -> None:
    wire.get().is_cut = True
    call.answer = "connection cut"
    raise ConnectionAbortedError(call.rpc)
