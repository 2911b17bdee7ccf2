"""Served: apps at a control plane — how one stands, stopping, starting and deleting it, what its replicas print.

What the control plane says of an app is always asked for anew: another process may have changed or deleted it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flyte_nb.engine.cluster import failures, sdk
from flyte_nb.engine.cluster.connection import Connection
from flyte_nb.errors import RuntimeUserError, UnionRpcError, UsageError

__all__ = ["Seen", "activate", "deactivate", "delete", "listed", "look", "printed", "seen_of", "settled"]

#: seconds after which an app is looked at again where the control plane tells nothing of itself
PACE = 2.0
#: seconds for the first line of a log, and after which a line that has not come is one of those to come
FIRST, BETWEEN = 5.0, 0.5
_STATUS = "flyteidl2.app.app_definition_pb2.Status"
_STATES = "flyteidl2.app.app_definition_pb2.Spec"
_MESSAGES = "flyteidl2.app.app_payload_pb2"
_SERVING = ("ACTIVE", "STARTED", "SCALING_UP", "SCALING_DOWN")


@dataclass(frozen=True)
class Seen:
    """An app as the control plane said that it stands.

    Parameters
    ----------
    name : str
        The app's name.
    phase : str
        The value of an ``AppPhase``.
    revision : int
        How often it was changed; 1 for a new one.
    url : str
        Where people and programs reach it; empty while nobody knows.
    console : str
        The page about it.
    project, domain : str
        Where it belongs.
    replicas : int
        How many there are.
    why : str
        What the control plane says of it: why it failed, what it waits for; may be empty.
    links : tuple of (str, str)
        Path and title of pages of it.
    kind : str
        What kind of app it says it is: ``"connector"`` is one without pages.
    is_open : bool
        Whether anybody may call it.
    pb2 : object
        The message of the protocol.
    """

    name: str
    phase: str
    revision: int
    url: str
    console: str
    project: str
    domain: str
    replicas: int = 0
    why: str = ""
    links: tuple[tuple[str, str], ...] = ()
    kind: str = ""
    is_open: bool = False
    pb2: Any = field(default=None, repr=False, compare=False)

    def has_settled(self, wanted: str) -> bool:
        """Tell whether it has come to where it was to go: ``"active"`` or ``"stopped"``."""
        return self.phase in {"active": ("active", "idle"), "stopped": ("stopped",)}[wanted]


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
        seen = await look(connection, name)
        tell(seen)
        if seen.has_settled(wanted):
            return seen
        _insist_it_goes_on(seen, wanted)
        left = end - asyncio.get_running_loop().time()
        if left <= 0:
            raise RuntimeUserError("AppNotReady", _late(seen, wanted, seconds))
        await connection.call(f"watching app {name!r}", _news, connection, seen, min(PACE, left))


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


# --- what the messages say ---


def seen_of(connection: Connection, app: Any) -> Seen:
    """Read the SDK's object of an app."""
    pb2 = app.pb2
    phase, why = _phase(pb2)
    identifier = pb2.metadata.id
    return Seen(
        name=identifier.name,
        phase=phase,
        revision=pb2.metadata.revision,
        url=_web(pb2.status.ingress.cname_url) or _web(pb2.status.ingress.public_url),
        console=app.url,
        project=identifier.project,
        domain=identifier.domain,
        replicas=pb2.status.current_replicas,
        why=failures.redacted(why, connection.secrets),
        links=tuple((link.path, link.title) for link in pb2.spec.links),
        kind=pb2.spec.profile.type,
        is_open=pb2.spec.security_context.allow_anonymous,
        pb2=pb2,
    )


def _web(address: str) -> str:
    """Give an address of the web; what is none is no address that anybody should open."""
    address = f"https://{address}" if address and "://" not in address else address
    return address if address.startswith(("https://", "http://")) else ""


def _phase(pb2: Any) -> tuple[str, str]:
    """Give the phase of an app, and what is said of it; what was said of an earlier revision does not count."""
    revision, said = pb2.metadata.revision, list(pb2.status.conditions)
    is_to_stop = pb2.spec.desired_state == sdk.find(_STATES).DESIRED_STATE_STOPPED
    comes = "stopping" if is_to_stop else "restarting" if revision > 1 else "starting"
    last = said[-1] if said else None
    if last is None or 0 < last.revision < revision:
        return comes, ""
    status = _word(sdk.find(_STATUS).DeploymentStatus, last.deployment_status).removeprefix("DEPLOYMENT_STATUS_")
    part = _word(getattr(sdk.find(_STATUS), "Substate", None), getattr(last, "substate", 0))
    why = ": ".join(filter(None, ("" if part == "SUBSTATE_UNSPECIFIED" else _plain(part), last.message)))
    if status == "FAILED":
        return "failed", why or "the control plane does not say why"
    if status == "STOPPED" or (status == "UNASSIGNED" and is_to_stop):
        return "stopped", ""
    if status not in _SERVING or is_to_stop:
        return comes, why or _plain(status)
    return ("idle" if part == "SCALED_TO_ZERO" else "active"), ""


def _word(names: Any, value: int) -> str:
    """Give the name of an enumeration's value; empty for one that the installed protocol does not know."""
    return str(names.Name(value)) if names is not None and value in names.values() else ""


def _plain(word: str) -> str:
    return "" if word == "UNSPECIFIED" else word.lower().replace("_", " ")


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
    if _phase(app.pb2)[0] in done:
        return app
    message = type(app.pb2)()
    message.CopyFrom(app.pb2)
    message.spec.desired_state = getattr(sdk.find(_STATES), state)
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
