"""AppEnvironment: fields, functions, the command, and clones."""

import copy
import dataclasses
import importlib
import inspect
import sys
from types import SimpleNamespace

import pytest
from flyte_nb import app as public
from flyte_nb.app import (
    AppEnvironment,
    ConnectorEnvironment,
    Domain,
    Link,
    Parameter,
    Port,
    RunOutput,
    Scaling,
    Timeouts,
    ctx,
)
from flyte_nb.environments.app_command import load_app
from flyte_nb.environments.base import Environment, listen
from flyte_nb.environments.parameter_transport import from_transport
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import InitializationError
from hypothesis import given
from hypothesis import strategies as st

FIELDS = [
    "name", "depends_on", "pod_template", "description", "secrets", "env_vars", "resources", "interruptible",
    "image", "include", "service_account", "type", "port", "args", "command", "requires_auth", "scaling",
    "domain", "links", "parameters", "cluster_pool", "cluster", "timeouts",
]  # fmt: skip
CONTEXT = SimpleNamespace(
    project="shop", domain="production", org=None, version="v1", image_cache=None, code_bundle=None
)


@pytest.fixture(autouse=True)
def _variables(monkeypatch):
    for name in (
        "_RUN_MODE",
        "INTERNAL_APP_ENDPOINT_PATTERN",
        "FLYTE_INTERNAL_EXECUTION_PROJECT",
        "RAW_DATA_PATH",
    ):
        monkeypatch.delenv(name, raising=False)


# Fields


def test_the_public_names_are_sorted_and_there():
    assert public.__all__ == sorted(public.__all__, key=lambda name: (name.islower(), name))
    assert all(hasattr(public, name) for name in public.__all__)
    assert public.extras.__all__ == ["FastAPIAppEnvironment"]


def test_the_fields_are_positional_in_their_order():
    assert list(inspect.signature(AppEnvironment).parameters) == FIELDS
    env = AppEnvironment("a", [], None, None, None, None, None, False, "auto", (), None, "api", 8000, ["x"])
    assert (env.type, env.port, env.args) == ("api", Port(8000), ["x"])


def test_the_defaults():
    env = AppEnvironment("a")
    assert (env.type, env.port, env.args, env.command) == (None, Port(8080), None, None)
    assert env.requires_auth is True
    assert (env.scaling, env.domain, env.timeouts) == (Scaling(), Domain(), Timeouts())
    assert (env.links, env.parameters, env.cluster_pool, env.cluster) == ([], [], "default", None)
    assert (env._on_startup, env._server, env._on_shutdown) == (None, None, None)
    assert repr(env) == "AppEnvironment(name='a')"


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True))
def test_a_dns_label_is_a_name(name):
    assert AppEnvironment(name).name == name


@pytest.mark.parametrize(
    "wrong", ["", "A", "a_b", "-a", "a-", "a.b", "a\\b", "a b", "a\n", "é", "a" * 64, "a" * 62 + "--"]
)
def test_another_name_is_refused_and_named(wrong):
    with pytest.raises(ValueError, match=r"AppEnvironment.name") as caught:
        AppEnvironment(wrong)
    assert repr(wrong) in str(caught.value)


def test_double_dashes_are_allowed_in_a_name():
    assert AppEnvironment("a--b").name == "a--b"
    with pytest.raises(TypeError):
        AppEnvironment(3)


def test_a_port_is_kept_as_a_port():
    port = Port(8000, "http1")
    assert AppEnvironment("a", port=port).port is port
    env = AppEnvironment("a", port=8000)
    assert env.port == env.get_port() == Port(8000)
    env.port = 9000
    assert env.get_port() == Port(9000)


@pytest.mark.parametrize("wrong", [8012, 8022, 8112, 9090, 9091, 0, -1, 65536])
def test_an_impossible_port_is_refused(wrong):
    with pytest.raises(ValueError, match=r"AppEnvironment.port"):
        AppEnvironment("a", port=wrong)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("port", "8080"),
        ("port", True),
        ("port", None),
        ("port", 80.0),
        ("args", ("a",)),
        ("args", [1]),
        ("args", 3),
        ("command", ("a",)),
        ("command", {"a": 1}),
        ("scaling", None),
        ("scaling", (0, 1)),
        ("domain", "shop"),
        ("links", None),
        ("links", ["/docs"]),
        ("links", Link("/", "home")),
        ("parameters", None),
        ("parameters", ["p"]),
        ("timeouts", None),
        ("timeouts", 5),
        ("type", 3),
        ("requires_auth", "yes"),
        ("interruptible", "no"),
        ("cluster_pool", None),
        ("cluster", 3),
    ],
)
def test_a_field_of_the_wrong_type_is_a_type_error(field, wrong):
    with pytest.raises(TypeError, match=f"AppEnvironment.{field}"):
        AppEnvironment("a", **{field: wrong})


def test_objects_that_are_there_already_stay_the_same():
    scaling, domain, timeouts, link, parameter = (
        Scaling(),
        Domain(),
        Timeouts(),
        Link("/", "x"),
        Parameter("p"),
    )
    env = AppEnvironment("a", scaling=scaling, domain=domain, timeouts=timeouts, links=[link], parameters=[parameter])
    assert env.scaling is scaling
    assert env.domain is domain
    assert env.timeouts is timeouts
    assert env.links[0] is link
    assert env.parameters[0] is parameter
    assert AppEnvironment("b", domain=None).domain is None


def test_defaults_are_not_shared():
    AppEnvironment("a").links.append(Link("/", "x"))
    assert AppEnvironment("b").links == []


def test_a_cluster_excludes_a_pool():
    assert AppEnvironment("a", cluster="c1").cluster == "c1"
    with pytest.raises(ValueError, match="cluster_pool"):
        AppEnvironment("a", cluster="c1", cluster_pool="gpu")


def test_parameters_of_one_name_are_refused():
    for name in ("p", None):
        with pytest.raises(ValueError, match="is there twice"):
            AppEnvironment("a", parameters=[Parameter(name), Parameter(name)])


@pytest.mark.parametrize("command", [["python", "x.py"], "python x.py", [], "", "  "])
def test_parameters_need_a_command_that_receives_them(command):
    assert AppEnvironment("a", command=command).command == command
    with pytest.raises(ValueError, match=r"AppEnvironment.command"):
        AppEnvironment("a", command=command, parameters=[Parameter("p")])


@pytest.mark.parametrize("command", [None, ["fserve", "x"], "fserve x"])
def test_parameters_may_have_the_default_server(command):
    assert AppEnvironment("a", command=command, parameters=[Parameter("p")]).command == command


@pytest.mark.parametrize("field", ["args", "command"])
def test_text_that_a_shell_cannot_split_is_refused(field):
    with pytest.raises(ValueError, match="No closing quotation"):
        AppEnvironment("a", **{field: "python 'x"})


def test_an_environment_is_mutable_equal_by_value_and_unhashable():
    env = AppEnvironment("a", port=80)
    assert env == AppEnvironment("a", port=80) == copy.deepcopy(env) == dataclasses.replace(env)
    assert env != AppEnvironment("a")
    env.requires_auth = False
    assert env.requires_auth is False
    with pytest.raises(TypeError):
        hash(env)
    with pytest.raises(TypeError):
        AppEnvironment("a", prot=80)


def test_only_a_valid_environment_is_announced():
    heard = []
    before = listen(SimpleNamespace(declared=lambda env: heard.append(env.name)))
    try:
        AppEnvironment("good")
        with pytest.raises(ValueError, match="port"):
            AppEnvironment("bad", port=9090)
        with pytest.raises(ValueError, match="cluster"):
            AppEnvironment("bad", cluster="c", cluster_pool="p")
    finally:
        listen(before)
    assert heard == ["good"]


# Functions


@pytest.mark.parametrize("hook", ["on_startup", "server", "on_shutdown"])
def test_the_decorators_give_the_function_back(hook):
    env = AppEnvironment("a")

    async def function(model: str):
        """Do it."""

    assert getattr(env, hook)(function) is function
    assert getattr(env, f"_{hook}") is function
    with pytest.raises(TypeError, match=f"AppEnvironment.{hook}"):
        getattr(env, hook)("function")


# Endpoint and context


def test_the_endpoint_on_this_machine(monkeypatch):
    monkeypatch.setenv("_RUN_MODE", "local")
    assert AppEnvironment("a", port=8000).endpoint == "http://localhost:8000"


def test_the_endpoint_inside_a_cluster(monkeypatch):
    monkeypatch.setenv("INTERNAL_APP_ENDPOINT_PATTERN", "http://{app_fqdn}.{other}.svc")
    assert AppEnvironment("a").endpoint == "http://a.{other}.svc"


def test_there_is_no_endpoint_before_it_is_served():
    with pytest.raises(InitializationError, match="'a'"):
        AppEnvironment("a").endpoint


def test_the_context_of_a_running_app(monkeypatch):
    assert (ctx().mode, ctx().project, ctx().domain, ctx().raw_data_path) == ("remote", "", "", "")
    monkeypatch.setenv("_RUN_MODE", "local")
    monkeypatch.setenv("FLYTE_INTERNAL_EXECUTION_PROJECT", "shop")
    assert (ctx().mode, ctx().project) == ("local", "shop")
    with pytest.raises(AttributeError):
        ctx().mode = "remote"


# The command


def test_arguments():
    assert AppEnvironment("a").container_args(CONTEXT) == []
    assert AppEnvironment("a", args="--name 'a b'").container_args(CONTEXT) == ["--name", "a b"]
    env = AppEnvironment("a", args=["--x"])
    assert env.container_args(CONTEXT) == ["--x"]
    env.container_args(CONTEXT).append("--y")
    assert env.args == ["--x"]


def test_a_command_of_ones_own():
    assert AppEnvironment("a", command="run 'a b'").container_cmd(CONTEXT) == ["run", "a b"]
    env = AppEnvironment("a", command=["run", "a b"])
    assert env.container_cmd(CONTEXT) == ["run", "a b"]
    assert env.container_cmd(CONTEXT) is not env.command


def test_the_default_command(capsys):
    assert AppEnvironment("a").container_cmd(CONTEXT) == [
        "fserve", "--version", "v1", "--project", "shop", "--domain", "production", "--org", "",
        "--raw-data-path", "{{.rawOutputDataPrefix}}", "--",
    ]  # fmt: skip
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", ["tgz", "pkl"])
def test_the_default_command_with_a_bundle(kind):
    bundle = SimpleNamespace(computed_version="b1", tgz=None, pkl=None, destination="/app")
    setattr(bundle, kind, "s3://b/code")
    context = SimpleNamespace(code_bundle=bundle, image_cache=SimpleNamespace(to_transport="cached"))
    command = AppEnvironment("a").container_cmd(context)
    assert command[:3] == ["fserve", "--version", "b1"]
    assert command[9:15] == ["--image-cache", "cached", f"--{kind}", "s3://b/code", "--dest", "/app"]


def test_the_default_command_carries_the_parameters():
    env = AppEnvironment("a", parameters=[Parameter("p", "x"), Parameter("q")])
    command = env.container_cmd(CONTEXT, [Parameter("q", "y")])
    arrived = from_transport(command[command.index("--parameters") + 1])
    assert [(parameter.name, parameter.value) for parameter in arrived] == [("p", "x"), ("q", "y")]
    assert env.parameters[1].value is None
    with pytest.raises(ValueError, match="was given none"):
        env.container_cmd(CONTEXT)
    with pytest.raises(ValueError, match="no parameter named 'r'"):
        env.container_cmd(CONTEXT, [Parameter("r", "y")])


def test_the_default_command_finds_an_app_that_is_a_variable(tmp_path, monkeypatch):
    (tmp_path / "shop_app.py").write_text(
        "from flyte_nb.app import AppEnvironment\nenv = AppEnvironment('a')\nlater = [AppEnvironment('b')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("shop_app")
    monkeypatch.setitem(sys.modules, "shop_app", module)  # taken out afterwards
    command = module.env.container_cmd(CONTEXT)
    assert command[-3:] == ["--resolver-args", "shop_app:env", "--"]
    assert load_app("shop_app:env") is module.env
    assert "--resolver" not in module.later[0].container_cmd(CONTEXT)


# Clones


def full():
    return AppEnvironment(
        "a", [Environment("dep")], "template", "text", "key", {"A": "1"}, Resources(cpu=1), True, "img:1",
        ("a.py",), "account", "api", 8000, ["x"], None, False, Scaling(2), Domain("d"), [Link("/", "x")],
        [Parameter("p", "v")], "pool", None, Timeouts(5),
    )  # fmt: skip


def test_a_clone_keeps_everything_and_shares_nothing():
    env = full()
    clone = env.clone_with("b")
    assert clone.name == "b"
    for name in FIELDS[1:]:
        assert getattr(clone, name) == getattr(env, name), name
    clone.scaling.replicas = (9, 9)
    clone.links.append(Link("/y", "y"))
    clone.parameters[0].value = "w"
    clone.env_vars["B"] = "2"
    assert env == full()


OTHERS = {
    "image": "img:2", "resources": Resources(cpu=2), "env_vars": {}, "secrets": [], "depends_on": [],
    "description": "other", "interruptible": False, "service_account": "other", "include": ("b.py",),
    "pod_template": "other", "type": "web", "port": Port(9000), "args": ["y"], "command": ["fserve"],
    "requires_auth": True, "scaling": Scaling(3), "domain": Domain("e"), "links": [], "parameters": [],
    "cluster_pool": "default", "timeouts": Timeouts(6),
}  # fmt: skip


@pytest.mark.parametrize("field", OTHERS)
def test_a_clone_can_change_any_field(field):
    env = full()
    clone = env.clone_with("b", **{field: OTHERS[field]})
    assert getattr(clone, field) == OTHERS[field]
    assert env == full()
    assert dataclasses.replace(clone, **{"name": "a", field: getattr(env, field)}) == env


def test_lists_may_be_given_as_tuples():
    dependency, link, parameter = AppEnvironment("z"), Link("/a", "A"), Parameter("p", "v")
    env = AppEnvironment("a", depends_on=(dependency,), links=(link,), parameters=(parameter,))
    assert (env.depends_on, env.links, env.parameters) == ([dependency], [link], [parameter])
    env.add_dependency(AppEnvironment("y"))
    assert [one.name for one in env.depends_on] == ["z", "y"]


def test_every_field_is_a_keyword_of_clone_with():
    assert set(FIELDS) <= set(inspect.signature(AppEnvironment.clone_with).parameters)
    assert AppEnvironment("a").clone_with("b", cluster="c").cluster == "c"
    with pytest.raises(TypeError):
        AppEnvironment("a").clone_with("b", prot=80)
    with pytest.raises(TypeError, match="reusable"):
        AppEnvironment("a").clone_with("b", reusable=None)
    with pytest.raises(ValueError, match="port"):
        AppEnvironment("a").clone_with("b", port=9090)


def test_a_clone_can_reset_fields():
    clone = full().clone_with("b", reset=["scaling", "env_vars", "port"])
    assert (clone.scaling, clone.env_vars, clone.port) == (Scaling(), None, Port(8080))


@pytest.mark.parametrize("kind", [AppEnvironment, ConnectorEnvironment])
def test_the_functions_travel_to_a_clone(kind):
    env = kind("a")
    functions = [env.on_startup(lambda: 1), env.server(lambda: 2), env.on_shutdown(lambda: 3)]
    clone = env.clone_with("b")
    assert type(clone) is kind
    assert [clone._on_startup, clone._server, clone._on_shutdown] == functions


def test_a_subclass_with_fields_of_its_own():
    @dataclasses.dataclass
    class Model(AppEnvironment):
        model: str = ""

        def __post_init__(self):
            super().__post_init__()
            self.server(self.serve)

        def serve(self):
            return self.model

    clone = Model("a", model="small").clone_with("b", model="large")
    assert (clone.model, clone._server()) == ("large", "large")


def test_a_digest_is_the_same_for_equal_declarations():
    output = Parameter("p", RunOutput(type="file", run_name="r"))
    digests = {AppEnvironment("a", parameters=[copy.deepcopy(output)]).digest() for _ in range(2)}
    assert len(digests) == 1
    assert AppEnvironment("a", port=80).digest() not in digests
