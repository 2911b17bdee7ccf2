"""ConnectorEnvironment."""

from pathlib import Path

import pytest
from flyte_nb.app import ConnectorEnvironment, Parameter, Port

SERVER = ["c0", "--port", "8080", "--prometheus_port", "9092"]


def modules(*include):
    """Give the modules that the connector server imports."""
    arguments = ConnectorEnvironment("c", include=include).container_args(None)[len(SERVER) :]
    assert arguments[::2] == ["--modules"] * (len(arguments) // 2)
    return arguments[1::2]


def test_the_defaults():
    env = ConnectorEnvironment("c")
    assert (env.type, env.port) == ("connector", Port(8080, "h2c"))
    assert env.container_args(None) == SERVER
    assert repr(env) == "ConnectorEnvironment(name='c')"


def test_a_number_is_a_port_without_a_protocol():
    env = ConnectorEnvironment("c", port=8000)
    assert env.port == Port(8000)
    assert env.container_args(None)[:3] == ["c0", "--port", "8000"]


@pytest.mark.parametrize("port", [9092, Port(9092, "h2c")])
def test_the_port_of_its_metrics_is_taken(port):
    with pytest.raises(ValueError, match="publishes its metrics"):
        ConnectorEnvironment("c", port=port)
    with pytest.raises(ValueError, match="reserved"):
        ConnectorEnvironment("c", port=9090)


def test_arguments_of_ones_own():
    assert ConnectorEnvironment("c", args=[], include=["a"]).container_args(None) == []
    assert ConnectorEnvironment("c", args="run --x", include=["a"]).container_args(None) == ["run", "--x"]


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("my_connector", "my_connector"),
        ("my_connector.py", "my_connector"),
        ("./my_connector.py", "my_connector"),
        ("pkg/connector.py", "pkg.connector"),
        ("pkg/sub/", "pkg.sub"),
        ("pkg/__init__.py", "pkg"),
        ("pkg/../other.py", "other"),
        ("pkg\\connector.py", "pkg.connector"),
        (str(Path(__file__).parent / "pkg" / "connector.py"), "pkg.connector"),
    ],
)
def test_paths_become_dotted_modules(path, module):
    assert modules(path) == [module]


def test_each_module_has_its_own_option():
    assert modules("a.py", "pkg", "pkg/__init__.py", "b/c.py") == ["a", "pkg", "b.c"]


def test_other_files_only_travel_along():
    assert modules("a.py", "settings.yaml", ".") == ["a"]


@pytest.mark.parametrize("path", ["../a.py", "..", "a.b.py", "/elsewhere/a.py", "__init__.py"])
def test_a_path_without_a_module_name_is_refused(path):
    with pytest.raises(ValueError, match=r"ConnectorEnvironment.include"):
        modules(path)


def test_a_clone_and_the_command():
    env = ConnectorEnvironment("c", include=["a.py"])
    clone = env.clone_with("d", port=8000)
    assert clone.container_args(None) == ["c0", "--port", "8000", *SERVER[3:], "--modules", "a"]
    assert env.container_cmd(None)[0] == "fserve"
    assert ConnectorEnvironment("c", parameters=[Parameter("p", "v")]).parameters[0].name == "p"
