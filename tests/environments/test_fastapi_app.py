"""FastAPIAppEnvironment."""

import asyncio
import copy
import dataclasses
import inspect
import sys

import pytest
from flyte_nb.app import Link, Port
from flyte_nb.app.extras import FastAPIAppEnvironment


def test_the_own_fields_are_keywords():
    parameters = inspect.signature(FastAPIAppEnvironment).parameters
    for name in ("app", "type", "uvicorn_config"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    with pytest.raises(TypeError):
        FastAPIAppEnvironment("a")


@pytest.mark.parametrize("wrong", [None, "app", object()])
def test_another_app_is_a_type_error(wrong):
    with pytest.raises(TypeError, match=r"FastAPIAppEnvironment.app"):
        FastAPIAppEnvironment("a", app=wrong)


def test_without_fastapi_nothing_is_a_fastapi_application(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(TypeError, match="fastapi is not installed"):
        FastAPIAppEnvironment("a", app=object())


@pytest.fixture
def app():
    return pytest.importorskip("fastapi").FastAPI(title="Shop")


def test_an_application_is_kept_as_it_is(app):
    app.state.mine = 3
    env = FastAPIAppEnvironment("a", app=app)
    assert env.app is app
    assert app.state.mine == 3
    assert (env.type, env.port, env.uvicorn_config) == ("FastAPI", Port(8080), None)
    assert inspect.iscoroutinefunction(env._server)


def test_the_documentation_is_the_first_link(app):
    mine = Link("/mine", "Mine")
    links = [mine]
    env = FastAPIAppEnvironment("a", app=app, links=links)
    assert (env.links[0].path, env.links[0].is_relative) == ("/docs", True)
    assert env.links[1:] == [mine]
    assert links == [mine]


def test_no_documentation_no_link():
    fastapi = pytest.importorskip("fastapi")
    assert FastAPIAppEnvironment("a", app=fastapi.FastAPI(docs_url=None)).links == []


def test_a_clone_serves_the_same_application(app):
    env = FastAPIAppEnvironment("a", app=app)
    clone = env.clone_with("b", port=9000, links=[Link("/mine", "Mine")])
    assert clone.app is app
    assert [link.path for link in clone.links] == ["/docs", "/mine"]
    assert [link.path for link in env.clone_with("c").links] == ["/docs"]
    assert clone._server.__self__ is clone
    other = type(app)()
    assert env.clone_with("d", app=other).app is other


def test_a_server_of_ones_own_travels_to_a_clone(app):
    env = FastAPIAppEnvironment("a", app=app)
    mine = env.server(lambda: None)
    assert env.clone_with("b")._server is mine


def test_copies_and_replacements_serve_the_same_application(app):
    env = FastAPIAppEnvironment("a", app=app, links=[Link("/mine", "Mine")])
    copied = copy.deepcopy(env)
    assert copied == env
    assert copied.app is app
    assert copied.links is not env.links
    assert copied._server.__self__ is copied
    assert dataclasses.replace(env) == env


def test_equal_declarations_have_one_digest(app):
    env = FastAPIAppEnvironment("a", app=app)
    assert env == FastAPIAppEnvironment("a", app=app)
    assert env.digest() == FastAPIAppEnvironment("a", app=type(app)(title="Shop")).digest()
    assert env.to_dict()["app"]["title"] == "Shop"


@pytest.mark.parametrize(("mode", "host"), [("local", "127.0.0.1"), ("remote", "0.0.0.0")])
def test_it_is_served_with_uvicorn_on_its_port(app, monkeypatch, mode, host):
    uvicorn = pytest.importorskip("uvicorn")
    monkeypatch.setenv("_RUN_MODE", mode)
    served = []

    class Server:
        def __init__(self, config):
            self.config = config

        async def serve(self):
            served.append((self.config.app, self.config.host, self.config.port))

    monkeypatch.setattr(uvicorn, "Server", Server)
    asyncio.run(FastAPIAppEnvironment("a", app=app, port=8000)._server())
    assert served == [(app, host, 8000)]


@pytest.mark.parametrize(("port", "served"), [(7000, 7000), (None, 8000)])
def test_a_config_of_ones_own_keeps_its_port(app, port, served):
    uvicorn = pytest.importorskip("uvicorn")
    config = uvicorn.Config(app, port=port)
    env = FastAPIAppEnvironment("a", app=app, port=8000, uvicorn_config=config)
    assert env.uvicorn_config is config
    assert env.clone_with("b").uvicorn_config is config
    assert env._config().port == served
    assert config.port == port
    assert env.to_dict()["uvicorn_config"] == {"host": "127.0.0.1", "port": port}
    with pytest.raises(TypeError, match="uvicorn_config"):
        FastAPIAppEnvironment("a", app=app, uvicorn_config={"port": 1})
