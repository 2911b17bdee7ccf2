"""Connection: which cluster this process knows, how it was found, and the one way to ask it something.

A cluster is found as the Flyte SDK finds it: the arguments of ``flyte.init`` and its kin, the SDK's own ``flyte.init``
in this process, ``FLYTE_API_KEY``, or the configuration file with the variables that stand in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flyte_nb.context.settings import Settings, note_connected, remember, remembered
from flyte_nb.engine.cluster import failures, sdk
from flyte_nb.engine.cluster.hearing import hearing
from flyte_nb.errors import FlyteError, InitializationError

__all__ = ["Connection", "connect", "connected", "is_known"]

#: seconds that an answer may take
PATIENCE = 60.0
_END = object()
_SECRET = ("api_key", "client_credentials_secret")

_lock = threading.RLock()
_known: tuple[Settings, Connection] | None = None


@dataclass(frozen=True)
class Connection:
    """A cluster that this process is connected to.

    Parameters
    ----------
    endpoint : str
        The address of its control plane.
    project, domain, org : str, optional
        Where runs and deployments belong.
    source : str
        Where it was found, in words.
    patience : float
        Seconds that an answer may take.
    secrets : tuple of str
        What no text may tell.
    """

    endpoint: str
    project: str | None = None
    domain: str | None = None
    org: str | None = None
    source: str = ""
    patience: float = PATIENCE
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def client(self) -> Any:
        """The SDK's client, with the services of the control plane."""
        return sdk.find("flyte._initialize.get_client")()

    async def call(self, asked: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Await a verb of the SDK, or any async function, on the SDK's own loop.

        Parameters
        ----------
        asked : str
            What is asked for, as in ``"deploying 'train'"``; an error says it.
        function : callable
            A verb of the SDK, or an async function.
        *given, **named
            What it is called with; ``patience`` is the seconds that it may take, None for any, and ``hear`` takes what
            the SDK says meanwhile, in words.

        Raises
        ------
        UnionRpcError
            When it failed; its ``code`` says how.
        """
        patience, hear = named.pop("patience", self.patience), named.pop("hear", _unheard)
        try:
            with hearing(hear):
                done = _on_its_loop(_outcome)(function, given, named)
                value, error = await asyncio.wait_for(done, patience)
        except Exception as failure:
            error = failure
        if error is not None:
            raise self.told(error, asked) from None
        return value

    async def stream(self, asked: str, function: Callable[..., Any], *given: Any) -> AsyncIterator[Any]:
        """Give what an async generator of the SDK's gives, made and read on the SDK's own loop; errors as `call`."""
        items: asyncio.Queue[Any] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def give(item: Any) -> None:
            loop.call_soon_threadsafe(items.put_nowait, item)

        pump = asyncio.ensure_future(_on_its_loop(_pumped)(function, given, give))
        try:
            while (item := await items.get()) is not _END:
                yield item
            _, error = await pump
        finally:
            pump.cancel()
        if error is not None:
            raise self.told(error, asked) from None

    async def reach(self) -> None:
        """Ask the control plane for one run, which shows that it answers and knows who asks.

        Raises
        ------
        UnionRpcError
            When it does not; its ``code`` says how.
        """
        await self.call("asking for a run", _one_run)

    def told(self, error: BaseException, asked: str) -> FlyteError:
        """Give the error that a person reads for one that the SDK raised."""
        return failures.told(error, asked, self.endpoint, self.secrets)

    @contextmanager
    def rooted(self, folder: Path) -> Iterator[None]:
        """Let the SDK take a folder as the root of the code; one at a time, which whoever calls sees to."""
        initialize = sys.modules["flyte._initialize"]
        before = vars(initialize)["_init_config"]
        vars(initialize)["_init_config"] = before.replace(root_dir=folder)
        try:
            yield
        finally:
            vars(initialize)["_init_config"] = before


def connect(
    config: str | Path | None = None,
    *,
    endpoint: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    org: str | None = None,
    patience: float | None = None,
    **options: Any,
) -> Connection:
    """Connect this process to a cluster, from now on; nothing is asked of it yet.

    Parameters
    ----------
    config : str or Path, optional
        A configuration file; the usual ones by default.
    endpoint : str, optional
        The address of a control plane, in the place of a file.
    project, domain, org : str, optional
        Where runs and deployments belong.
    patience : float, optional
        Seconds that an answer may take; 60 by default.
    **options
        What else the SDK's ``init`` takes: ``insecure``, ``api_key``, ``auth_type`` and so on.

    Raises
    ------
    InitializationError
        When no cluster is known, the SDK is not installed, or it refuses an argument.
    UnionRpcError
        When the SDK asked the cluster something and failed.
    """
    before = remembered()
    given: dict[str, Any] = {"org": org, "project": project, "domain": domain, "endpoint": endpoint}
    options = {name: value for name, value in options.items() if value is not None}
    if patience is not None:
        options["patience"] = patience
    changed = {name: value for name, value in given.items() if value is not None}
    if endpoint is not None or config is not None or options:
        changed |= {"endpoint": endpoint, "config": Path(config) if config else None, "options": options}
    return _made_known(replace(before, **changed))


def connected() -> Connection:
    """Give the cluster that this process knows, connected to at first use.

    Raises
    ------
    InitializationError
        When none is known, which the message says how to mend.
    UnionRpcError
        As `connect`.
    """
    with _lock:
        if _known is not None and _known[0] == remembered():
            return _known[1]
        return _made_known(remembered())


def is_known() -> bool:
    """Tell whether this process is connected already."""
    return _known is not None and _known[0] == remembered()


def _made_known(settings: Settings) -> Connection:
    global _known
    with _lock:
        made = _made(settings)
        if settings != remembered():
            remember(settings)
        _known = (settings, made)
        note_connected()
        return made


def _made(settings: Settings) -> Connection:
    """Have the SDK initialize itself, and say what it knows then."""
    sdk.installed()
    options = dict(settings.options)
    patience = options.pop("patience", PATIENCE)
    secrets = tuple(str(options[name]) for name in _SECRET if options.get(name))
    source, initialize, given = _found(settings, options)
    if initialize is not None:
        try:
            with _same_paths():
                initialize(**_accepted(initialize, given))
        except Exception as error:
            raise _refused(error, given, secrets) from None
    known = sdk.find("flyte._initialize.get_init_config")()
    if known.client is None:
        raise failures.unknown()
    return Connection(
        known.client.endpoint, settings.project or known.project, settings.domain or known.domain,
        settings.org or known.org, source, patience, secrets,
    )  # fmt: skip


def _found(settings: Settings, options: dict[str, Any]) -> tuple[str, Callable[..., Any] | None, dict[str, Any]]:
    """Say where a cluster is named, and what makes the SDK connect to it with which arguments."""
    placed = {"project": settings.project, "domain": settings.domain, "root_dir": settings.root_dir or Path.cwd()}
    with_org = {**placed, "org": settings.org}
    _forget_files()
    if settings.config is not None:
        file = settings.config.expanduser().absolute()
        return str(file), sdk.find("flyte.init_from_config"), {**with_org, **options, "path_or_config": file}
    if settings.endpoint:
        return "flyte.init", sdk.find("flyte.init"), {**with_org, "endpoint": settings.endpoint, **options}
    if options.get("api_key"):
        return "the API key", sdk.find("flyte.init_from_api_key"), {**placed, **options}
    if _sdk_knows():
        return "the Flyte SDK's own init", None, {}
    if os.environ.get("FLYTE_API_KEY"):
        return "FLYTE_API_KEY", sdk.find("flyte.init_from_api_key"), {**placed, **options}
    return _file_or_variables(with_org)


def _forget_files() -> None:
    """Let the SDK read configuration files anew: it keeps what it read, or that there was none, for ever."""
    reader = sdk.find("flyte.config._reader.get_config_file")
    if hasattr(reader, "cache_clear"):
        reader.cache_clear()


def _file_or_variables(given: dict[str, Any]) -> tuple[str, Callable[..., Any], dict[str, Any]]:
    config = sdk.find("flyte.config.auto")()
    endpoint = config.platform.endpoint or os.environ.get("FLYTE_ADMIN_ENDPOINT")
    if not endpoint:
        raise failures.unknown()
    if config.platform.endpoint:
        source = str(Path(config.source).absolute()) if config.source else "the environment"
        return source, sdk.find("flyte.init_from_config"), {**given, "path_or_config": config}
    insecure = os.environ.get("FLYTE_ADMIN_INSECURE", "").lower() in ("1", "true", "yes", "on")
    return "FLYTE_ADMIN_ENDPOINT", sdk.find("flyte.init"), {**given, "endpoint": endpoint, "insecure": insecure}


def _sdk_knows() -> bool:
    """Tell whether the SDK was initialized by whoever uses it in this process, and not by a `Connection`."""
    config = sdk.find("flyte._initialize._get_init_config")()
    return _known is None and config is not None and config.client is not None


def _accepted(initialize: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is None, and refuse what the installed SDK does not take; the file tells an older one the org."""
    known = inspect.signature(initialize).parameters
    given = {name: value for name, value in given.items() if value is not None and (name in known or name != "org")}
    for name in given.keys() - known.keys():
        raise InitializationError(
            "UnknownParameter", "user", f"flyte.init: the installed Flyte SDK {sdk.version()} has no parameter {name!r}"
        )
    return given


def _refused(error: Exception, given: dict[str, Any], secrets: tuple[str, ...]) -> FlyteError:
    endpoint = str(given.get("endpoint") or "the cluster")
    if isinstance(error, FlyteError):
        return error
    if failures.code_of(error) == failures.HERE:
        told = failures.redacted(str(error), secrets)
        return InitializationError(
            "NotConnected", "user", f"the Flyte SDK {sdk.version()} cannot connect to {endpoint}: {told}"
        )
    return failures.told(error, "connecting", endpoint, secrets)


@contextmanager
def _same_paths() -> Iterator[None]:
    """Take back what the SDK adds to the path of imports."""
    before = list(sys.path)
    try:
        yield
    finally:
        added = sys.path[len(before) :] if sys.path[: len(before)] == before else []
        if added:
            del sys.path[len(before) :]


async def _outcome(function: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
    """Give what a call gives, and its error in place of raising it: nobody may be there any more to take that."""
    try:
        return await getattr(function, "aio", function)(*given, **named), None
    except Exception as error:
        return None, error


async def _pumped(function: Callable[..., Any], given: tuple[Any, ...], give: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Hand over what an async generator gives, and give its error."""
    try:
        async for item in function(*given):
            give(item)
    except Exception as error:
        return None, error
    finally:
        with contextlib.suppress(RuntimeError):  # whoever asked is gone, and their loop with them
            give(_END)
    return None, None


def _on_its_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the form of a function that runs on the SDK's own loop: its clients belong to that."""
    wrapped: Any = sdk.find("flyte.syncify.syncify")(function)
    return wrapped.aio  # type: ignore[no-any-return]


def _unheard(said: str) -> None:
    """Hear nothing."""


async def _one_run() -> None:
    async for _ in sdk.find("flyte.remote.Run").listall.aio(limit=1):
        return
