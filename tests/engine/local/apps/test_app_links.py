"""The address by which a browser reaches an app, from where the notebook is seen."""

from __future__ import annotations

import pytest
from flyte_nb.engine.local.apps.links import Front, front_of, variables_of


@pytest.mark.parametrize(
    ("variables", "front"),
    [
        ({}, Front("http://127.0.0.1:8000/", "", ())),
        (
            {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"},
            Front("/user/ada/proxy/8000/", "/user/ada/proxy/8000", ()),
        ),
        (
            {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/", "JUPYTERHUB_HOST": "https://hub.example"},
            Front("https://hub.example/user/ada/proxy/8000/", "/user/ada/proxy/8000", ("hub.example",)),
        ),
        (
            {
                "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/",
                "JUPYTERHUB_PUBLIC_URL": "https://ada.hub.example:8443/user/ada/",
            },
            Front("https://ada.hub.example:8443/user/ada/proxy/8000/", "/user/ada/proxy/8000", ("ada.hub.example",)),
        ),
        (
            {"VSCODE_PROXY_URI": "https://code.example/proxy/{{port}}/"},
            Front("https://code.example/proxy/8000/", "/proxy/8000", ("code.example",)),
        ),
        (
            {"VSCODE_PROXY_URI": "https://{{port}}.code.example"},
            Front("https://8000.code.example/", "", ("8000.code.example",)),
        ),
        (
            {"CODESPACE_NAME": "blue", "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN": "app.github.dev"},
            Front("https://blue-8000.app.github.dev/", "", ("blue-8000.app.github.dev",)),
        ),
        ({"CODESPACE_NAME": "blue"}, Front("http://127.0.0.1:8000/", "", ())),
        ({"FLYTE_NB_APP_URL": "/proxy/{port}/"}, Front("/proxy/8000/", "/proxy/8000", ())),
        (
            {"FLYTE_NB_APP_URL": "https://nb.example/lab/proxy/{port}", "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"},
            Front("https://nb.example/lab/proxy/8000/", "/lab/proxy/8000", ("nb.example",)),
        ),
    ],
)
def test_where_an_app_is_seen(variables: dict[str, str], front: Front) -> None:
    assert front_of(8000, variables) == front


def test_what_programs_learn_of_the_path_in_front_of_their_own() -> None:
    assert variables_of(front_of(8000, {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"})) == {
        "GRADIO_ROOT_PATH": "/user/ada/proxy/8000",
        "UVICORN_ROOT_PATH": "/user/ada/proxy/8000",
    }
    assert variables_of(front_of(8000, {})) == {}
