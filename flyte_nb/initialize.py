"""The ways to initialize a process: what they are told is remembered; a cluster is connected to at first use."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from flyte_nb import config
from flyte_nb.context.settings import Settings, remember
from flyte_nb.errors import InitializationError, UsageTypeError, suggestion
from flyte_nb.pairs import Pair

__all__ = ["init", "init_from_api_key", "init_from_config", "init_in_cluster", "init_passthrough"]

#: how the SDK connects, stores and builds: without effect on this machine, and told to the SDK that connects
_CONNECTION = (
    "auth_client_config", "auth_type", "batch_size", "ca_cert_file_path", "client_credentials_secret", "client_id",
    "command", "headless", "http_proxy_url", "image_builder", "images", "insecure", "insecure_skip_verify",
    "load_plugin_type_transformers", "local_persistence", "log_format", "proxy_command", "reset_root_logger",
    "rpc_retries", "source_config_path", "storage", "sync_local_sys_paths",
)  # fmt: skip


@Pair
def init(
    org: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    root_dir: str | Path | None = None,
    log_level: int | None = None,
    user_log_level: int | None = None,
    endpoint: str | None = None,
    api_key: str | None = None,
    **connection: Any,
) -> None:
    """Initialize this process; optional, since everything runs on this machine unless a cluster is asked for.

    Parameters
    ----------
    org, project, domain : str, optional
        Where runs and deployments belong; ``flyte.current_project()`` and ``current_domain()`` give them.
    root_dir : str or Path, optional
        Added to ``sys.path``, once; the current directory by default.
    log_level, user_log_level : int, optional
        Levels for ``flyte.system_logger`` and ``flyte.logger``.
    endpoint, api_key : str, optional
        A control plane, for ``engine="cluster"``. Nothing is asked of it before that; a line in the log says so.
    **connection
        The other parameters of the Flyte SDK's ``init``, for the same.

    Raises
    ------
    TypeError
        For a wrong type, or an unknown parameter.
    InitializationError
        When the root directory is not a directory.
    """
    _refuse_unknown("init", connection)
    _check_texts("init", org=org, project=project, domain=domain, endpoint=endpoint, api_key=api_key)
    for name, level in (("flyte", log_level), ("flyte.user", user_log_level)):
        if level is not None:
            logging.getLogger(name).setLevel(level)
    if endpoint or api_key:
        logging.getLogger("flyte").warning(
            "tasks run on this machine, and with engine='cluster' at %s", endpoint or "the control plane of the API key"
        )
    file = connection.pop("source_config_path", None)
    options = {**connection, **({"api_key": api_key} if api_key else {})}
    remember(
        Settings(org, project, domain, endpoint or None, _directory(root_dir), Path(file) if file else None, options)
    )


@Pair
def init_from_config(
    path_or_config: str | Path | config.Config | None = None,
    root_dir: str | Path | None = None,
    log_level: int | None = None,
    user_log_level: int | None = None,
    project: str | None = None,
    domain: str | None = None,
    **connection: Any,
) -> None:
    """Initialize this process from a configuration file.

    Parameters
    ----------
    path_or_config : str, Path or Config, optional
        The file; where it is looked for by default, see ``flyte.config.auto``. None is needed.
    project, domain : str, optional
        In place of the file's.
    root_dir, log_level, user_log_level, **connection
        As for ``flyte.init``.

    Raises
    ------
    InitializationError
        When the named file does not exist or cannot be read.
    TypeError, InitializationError
        As ``flyte.init``.
    """
    if path_or_config is not None and not isinstance(path_or_config, str | Path | config.Config):
        raise UsageTypeError(
            f"flyte.init_from_config: given {path_or_config!r:.80}; accepted: a path, a Config or None"
        )
    read = config.auto(path_or_config)
    task = read.task
    init(
        task.org, project or task.project, domain or task.domain, root_dir, log_level, user_log_level,
        endpoint=read.platform.endpoint, **_as_read(read), **connection,
    )  # fmt: skip


@Pair
def init_from_api_key(
    api_key: str | None = None, project: str | None = None, domain: str | None = None, **options: Any
) -> None:
    """Initialize this process with an API key, from ``FLYTE_API_KEY`` by default; used with ``engine="cluster"``.

    Raises
    ------
    InitializationError
        When there is no key.
    TypeError, InitializationError
        As ``flyte.init``.
    """
    key = api_key or os.environ.get("FLYTE_API_KEY")
    if not key:
        raise InitializationError(
            "MissingApiKey", "user", "flyte.init_from_api_key: there is no key; give api_key= or set FLYTE_API_KEY"
        )
    init(project=project, domain=domain, api_key=key, **options)


@Pair
def init_in_cluster(
    org: str | None = None, project: str | None = None, domain: str | None = None, **options: Any
) -> None:
    """Initialize the process of a task in a cluster, from the variables that the platform sets.

    Raises
    ------
    TypeError, InitializationError
        As ``flyte.init``.
    """
    told = {"org": org, "project": project, "domain": domain}
    known = {n: value or os.environ.get(f"FLYTE_INTERNAL_EXECUTION_{n.upper()}") for n, value in told.items()}
    init(known["org"], known["project"], known["domain"], **options)


@Pair
def init_passthrough(
    endpoint: str | None = None,
    org: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    **options: Any,
) -> None:
    """Initialize this process for credentials that each call brings along; used with ``engine="cluster"``.

    Raises
    ------
    TypeError, InitializationError
        As ``flyte.init``.
    """
    init(org, project, domain, endpoint=endpoint, **options)


def _as_read(read: config.Config) -> dict[str, Any]:
    """Say how to connect: as the file says, which the SDK reads itself, or as a configuration without one says."""
    if read.source is not None:
        return {"source_config_path": read.source}
    return {"insecure": True} if read.platform.insecure else {}


def _refuse_unknown(verb: str, given: dict[str, Any]) -> None:
    for name in given:
        if name not in _CONNECTION:
            raise UsageTypeError(f"flyte.{verb}: unknown parameter {name!r}; {suggestion(name, _CONNECTION)}")


def _check_texts(verb: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None and not isinstance(value, str):
            raise UsageTypeError(f"flyte.{verb}: {name} is of type {type(value).__name__}; accepted: a str or None")


def _directory(given: str | Path | None) -> Path:
    if given is not None and not isinstance(given, str | Path):
        raise UsageTypeError(f"flyte.init: root_dir is {given!r:.80}; accepted: a path or None")
    path = Path(given or Path.cwd()).expanduser().absolute()
    if not path.is_dir():
        raise InitializationError("NoSuchDirectory", "user", f"flyte.init: root_dir {str(path)!r} is not a directory")
    return path
