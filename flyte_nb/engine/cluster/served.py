"""Served: apps at a control plane — how one stands, stopping, starting and deleting it, what its replicas print.

What the control plane says of an app is always asked for anew: another process may have changed or deleted it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from flyte_nb.engine.cluster import failures, sdk
from flyte_nb.engine.cluster.connection import Connection
from flyte_nb.engine.cluster.seen import STATES, Seen, seen_of
from flyte_nb.errors import RuntimeUserError, UnionRpcError, UsageError

__all__ = ["activate", "deactivate", "delete", "listed", "look", "printed", "settled"]

#: seconds after which an app is looked at again where the control plane tells nothing of itself
PACE = 2.0
#: seconds that a cluster may be out of reach while an app is waited for
AWAY = 30.0
#: seconds for the first line of a log, and after which a line that has not come is one of those to come
FIRST, BETWEEN = 5.0, 0.5
_MESSAGES = "flyteidl2.app.app_payload_pb2"


async def look(connection: Connection, name: str) -> Seen:
    """Ask how an app stands.

    Raises
    ------
    UnionRpcError
        When it is not there (its ``code`` is ``"NotFound"``), and when nobody can be asked.
    """
    found = await connection.call(f"looking at app {name!r}", _get, connection, name)
    return seen_of(connection, found)


async def listed(connection: Connection, limit: int = 100) -> list[Seen]:
    """Ask for the apps of the project, at most ``limit``."""
    apps = await connection.call("listing the apps", _all, limit)
    return [seen_of(connection, app) for app in apps]


async def activate(connection: Connection, name: str) -> Seen:
    """Ask for an app to run again, where it does not."""
    return await _change(connection, name, "DESIRED_STATE_STARTED", f"starting app {name!r}", ("active", "idle"))


async def deactivate(connection: Connection, name: str) -> Seen:
    """Ask for an app to stop, where it has not; it stays there, and can be started again."""
    return await _change(connection, name, "DESIRED_STATE_STOPPED", f"stopping app {name!r}", ("stopped",))


async def delete(connection: Connection, name: str) -> None:
    """Delete an app; one that is not there is no error."""
    verb = sdk.find("flyte.remote.App").delete
    await connection.call(f"deleting app {name!r}", verb, name, project=connection.project, domain=connection.domain)


async def settled(
    connection: Connection,
    name: str,
    wanted: str,
    seconds: float,
    tell: Callable[[Seen], None] = lambda seen: None,
) -> Seen:
    """Wait until an app has come to where it was to go.

    Parameters
    ----------
    connection : Connection
        The cluster.
    name : str
        The app.
    wanted : {"active", "stopped"}
        Where it was to go.
    seconds : float
        How long it may take.
    tell : callable
        Hears how it stands, in the thread of this loop, each time it was asked for.

    Raises
    ------
    RuntimeUserError
        When it failed, was stopped instead, or has not come there in time: ``code`` is ``"AppFailed"`` or
        ``"AppNotReady"``. It is still there.
    UnionRpcError
        When it was deleted meanwhile, and when nobody can be asked.
    """
    end = asyncio.get_running_loop().time() + seconds
    while True:
        seen = await _found_again(connection, name)
        tell(seen)
        if seen.has_settled(wanted):
            return seen
        _insist_it_goes_on(seen, wanted)
        left = end - asyncio.get_running_loop().time()
        if left <= 0:
            raise RuntimeUserError("AppNotReady", _late(seen, wanted, seconds))
        await connection.call(f"watching app {name!r}", _news, connection, seen, min(PACE, left))


async def _found_again(connection: Connection, name: str) -> Seen:
    """Look at an app whose cluster may be out of reach for a while: the app goes on meanwhile."""
    clock = asyncio.get_running_loop().time
    end = clock() + AWAY
    while True:
        try:
            return await look(connection, name)
        except UnionRpcError as error:
            if error.code not in (failures.UNREACHABLE, failures.SLOW) or clock() > end:
                raise
            await asyncio.sleep(PACE)


async def printed(connection: Connection, name: str, last: int) -> list[str]:
    """Ask for the last lines that an app's replicas printed.

    Raises
    ------
    UsageError
        When the installed SDK has no way to ask for them.
    UnionRpcError
        When nobody can be asked.
    """
    seen, logs = await look(connection, name), sdk.find("flyte.remote._logs.AppLogs")
    if logs is None:
        raise UsageError(f"the installed Flyte SDK {sdk.version()} cannot ask for an app's log; {seen.console} has it")
    try:
        lines = await connection.call(f"asking for the log of app {name!r}", _lines, logs, seen)
    except UnionRpcError as error:
        if error.code != "NotFound":
            raise
        return []  # the control plane has no log of it yet
    return list(lines[-last:])


# --- how long it is waited for ---


def _insist_it_goes_on(seen: Seen, wanted: str) -> None:
    if seen.phase == "failed":
        raise RuntimeUserError("AppFailed", f"app {seen.name!r} has failed: {seen.why}. {_more(seen)}")
    if wanted == "active" and seen.phase in ("stopped", "stopping"):
        raise RuntimeUserError("AppFailed", f"app {seen.name!r} was stopped by somebody else. {_more(seen)}")


def _late(seen: Seen, wanted: str, seconds: float) -> str:
    told = f"app {seen.name!r} is not {wanted} after {seconds:g} s, but {seen.phase}"
    told += f": {seen.why}" if seen.why and seen.why != seen.phase else ""
    return f"{told}. It goes on at the cluster; wait longer with activate_timeout=, or stop it. {_more(seen)}"


def _more(seen: Seen) -> str:
    return f"Its page: {seen.console}"


# --- what the client is asked, on its own loop ---


async def _get(connection: Connection, name: str) -> Any:
    return await sdk.find("flyte.remote.App").get.aio(name, project=connection.project, domain=connection.domain)


async def _all(limit: int) -> list[Any]:
    return [app async for app in sdk.find("flyte.remote.App").listall.aio(limit=limit)]


async def _change(connection: Connection, name: str, state: str, asked: str, done: tuple[str, ...]) -> Seen:
    return seen_of(connection, await connection.call(asked, _changed, connection, name, state, done))


async def _changed(connection: Connection, name: str, state: str, done: tuple[str, ...]) -> Any:
    """Change what an app is to be, from what it is now."""
    app = await _get(connection, name)
    if seen_of(connection, app).phase in done:
        return app
    message = type(app.pb2)()
    message.CopyFrom(app.pb2)
    message.spec.desired_state = getattr(sdk.find(STATES), state)
    return await type(app).update.aio(message, reason="asked for with flyte_nb")


async def _news(connection: Connection, seen: Seen, seconds: float) -> None:
    """Wait until the control plane tells something new of an app, or some seconds: whoever waits looks again then."""
    try:
        await asyncio.wait_for(_event(connection, seen), seconds)
    except asyncio.TimeoutError:
        return
    except Exception:  # a control plane that cannot be watched is not asked all the time
        await asyncio.sleep(seconds / 4)


async def _event(connection: Connection, seen: Seen) -> None:
    request = sdk.find(_MESSAGES).WatchRequest(app_id=seen.pb2.metadata.id)
    async for event in connection.client.app_service.watch(request=request):
        app = event.update_event.updated_app
        if not event.HasField("update_event") or (app.metadata.revision, app.status) != (
            seen.revision,
            seen.pb2.status,
        ):
            return


async def _lines(logs: Any, seen: Seen) -> list[str]:
    """Read the lines that there are: a control plane goes on with those to come, and does not say where they begin."""
    source, found = logs.tail.aio(seen.pb2.metadata.id, retry=1, follow=False), list[str]()
    while True:
        line = asyncio.ensure_future(source.__anext__())
        await asyncio.wait((line,), timeout=BETWEEN if found else FIRST)
        if not line.done():
            line.cancel()
            await asyncio.wait((line,))
            _ = line.cancelled() or line.exception()  # however it ends then
            return found
        try:
            found.append(str(line.result().message).rstrip("\n"))
        except StopAsyncIteration:
            return found
