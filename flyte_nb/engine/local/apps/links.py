"""Links: the address by which a browser reaches a port of this machine, which may be a server's in front of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["TEMPLATE", "Front", "front_of", "variables_of"]

#: the variable by which a person says where a server passes ports of this machine on, such as ``/proxy/{port}/``
TEMPLATE = "FLYTE_NB_APP_URL"
#: variables by which programs learn the path in front of their own: Gradio, and the program uvicorn
_PATHS = ("GRADIO_ROOT_PATH", "UVICORN_ROOT_PATH")


class Front(NamedTuple):
    """How a browser reaches an app.

    Parameters
    ----------
    url : str
        The address of the app's first page, with a slash at the end. Where the server's own name is not known it
        begins with its path, such as ``/user/ada/proxy/8000/``, which a page of that server completes.
    prefix : str
        The path in front of the app's own; empty when it is called directly.
    hosts : tuple of str
        Names of the host, beside those of the loopback interface, that its requests may carry.
    """

    url: str
    prefix: str
    hosts: tuple[str, ...]


def front_of(port: int | str, environ: Mapping[str, str] | None = None) -> Front:
    """Give the way to a port of this machine from where the notebook is seen.

    The variable ``FLYTE_NB_APP_URL`` goes first: ``/proxy/{port}/`` is right for a JupyterLab elsewhere that has
    jupyter-server-proxy. JupyterHub's single-user servers pass ``/proxy/PORT/`` on, by the same package; VS Code's
    server, code-server and their like say where they pass it on; anywhere else it is this machine's own address.

    Parameters
    ----------
    port : int or str
        The port, or text that stands for it.
    environ : mapping of str to str, optional
        The environment variables of the kernel; those of this process by default.
    """
    variables = os.environ if environ is None else environ
    if template := variables.get(TEMPLATE) or variables.get("VSCODE_PROXY_URI"):
        return _at(template.replace("{{port}}", str(port)).replace("{port}", str(port)))
    if (name := variables.get("CODESPACE_NAME")) and (
        domain := variables.get("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN")
    ):
        return _at(f"https://{name}-{port}.{domain}/")
    if prefix := variables.get("JUPYTERHUB_SERVICE_PREFIX"):
        public = variables.get("JUPYTERHUB_PUBLIC_URL") or variables.get("JUPYTERHUB_HOST", "").rstrip("/") + prefix
        return _at(f"{public.rstrip('/')}/proxy/{port}/")
    return Front(f"http://127.0.0.1:{port}/", "", ())


def variables_of(front: Front) -> dict[str, str]:
    """Give the environment variables by which a program learns the path in front of its own; none without one.

    The gateway takes the path off again where a caller sends it, so the program may be called directly, too.
    """
    return dict.fromkeys(_PATHS, front.prefix) if front.prefix else {}


def _at(url: str) -> Front:
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return Front(url.rstrip("/") + "/", path, (parts.hostname,) if parts.hostname else ())
