"""What the Flyte SDK accepts though it cannot work is refused where it is declared, by name, and not registered."""

from __future__ import annotations

import logging
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.app import AppEnvironment, ConnectorEnvironment
from flyte_nb.environments.devices import GPU
from flyte_nb.environments.resources import Resources
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import DeclarationError, DeclarationTypeError, DeclarationValueError

NAN = float("nan")
ENVIRONMENTS: list[type[Any]] = [TaskEnvironment, AppEnvironment, ConnectorEnvironment]


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("cpu", "abc"), ("cpu", (2, 1)), ("cpu", ("1500m", 1)), ("cpu", NAN), ("cpu", "nan"), ("cpu", "-1"),
        ("cpu", ""), ("memory", "10"), ("memory", "1GB"), ("memory", ("2Gi", "1Gi")), ("memory", ("1025Mi", "1Gi")),
        ("memory", "lots"), ("disk", "-1Gi"), ("disk", "10"), ("shm", "-1Gi"), ("gpu", 1000), ("gpu", -1),
        ("gpu", "T4:1000"), ("gpu", "T5:1"), ("gpu", "T4:0"),
    ],
)  # fmt: skip
def test_resources_that_no_machine_has(field: str, given: Any) -> None:
    with pytest.raises(DeclarationValueError, match=rf"^Resources\.{field}: given .*; accepted: ") as caught:
        Resources(**{field: given})
    assert not isinstance(caught.value, TypeError)


@pytest.mark.parametrize(("field", "given"), [("cpu", True), ("memory", 10), ("disk", 1), ("gpu", 1.5), ("gpu", True)])
def test_resources_of_the_wrong_type(field: str, given: Any) -> None:
    with pytest.raises(DeclarationTypeError, match=rf"^Resources\.{field}: "):
        Resources(**{field: given})


def test_no_gpu_is_a_count_that_asks_for_none() -> None:
    # the Flyte SDK's own meaning of 0, kept: it asks for nothing, and it is no device
    assert Resources(gpu=0).get_device() is None
    with pytest.raises(DeclarationValueError, match=r"quantity"):
        GPU("T4", 0)


@pytest.mark.parametrize("kind", [AppEnvironment, ConnectorEnvironment])
@pytest.mark.parametrize(
    ("port", "error"),
    [
        (0, DeclarationValueError), (-1, DeclarationValueError), (65536, DeclarationValueError),
        (70000, DeclarationValueError), (True, DeclarationTypeError), ("8080", DeclarationTypeError),
        (80.0, DeclarationTypeError), (None, DeclarationTypeError),
    ],
)  # fmt: skip
def test_ports_that_nobody_can_listen_on(kind: type[Any], port: Any, error: type[Exception]) -> None:
    refused(error, kind, "port", port=port)


def test_the_port_of_a_connectors_own_metrics() -> None:
    refused(DeclarationValueError, ConnectorEnvironment, "port", port=9092)
    assert AppEnvironment("app-at-9092", port=9092).get_port().port == 9092


@pytest.mark.parametrize("kind", ENVIRONMENTS)
@pytest.mark.parametrize(
    ("env_vars", "error"),
    [
        ({"A": 1}, DeclarationTypeError), ({"A": None}, DeclarationTypeError), ({1: "x"}, DeclarationTypeError),
        ({"A=B": "x"}, DeclarationValueError), ({"": "x"}, DeclarationValueError), ({"A": "\0"}, DeclarationValueError),
    ],
)  # fmt: skip
def test_variables_that_no_process_can_have(kind: type[Any], env_vars: Any, error: type[Exception]) -> None:
    refused(error, kind, "env_vars", env_vars=env_vars)


@pytest.mark.parametrize("kind", ENVIRONMENTS)
@pytest.mark.parametrize("name", ["a" * 300, "a\\b", "a\\", "", "Upper", "a\n"])
def test_names_that_no_cluster_takes(kind: type[Any], name: str) -> None:
    known = set(flyte.current_registry())
    with pytest.raises(DeclarationValueError, match=rf"^{kind.__name__}\.name: "):
        kind(name)
    assert set(flyte.current_registry()) == known


@pytest.mark.parametrize("kind", [AppEnvironment, ConnectorEnvironment])
def test_an_apps_name_is_a_dns_label(kind: type[Any]) -> None:
    assert kind("a" * 63).name == "a" * 63
    for name in ("a" * 64, "a_b", "a.b"):
        with pytest.raises(DeclarationValueError, match="name"):
            kind(name)


@pytest.mark.parametrize("kind", ENVIRONMENTS)
@pytest.mark.parametrize("given", ["no", "false", 0, 1, None])
def test_text_is_no_truth(kind: type[Any], given: Any) -> None:
    refused(DeclarationTypeError, kind, "interruptible", interruptible=given)


@pytest.mark.parametrize("kind", ENVIRONMENTS)
@pytest.mark.parametrize("path", ["../x", "a/../../x", "..", "/etc/passwd", "/proc/self/environ", "", "..\\x"])
def test_files_that_do_not_travel(kind: type[Any], path: str) -> None:
    refused(DeclarationValueError, kind, "include", include=(path,))
    refused(DeclarationValueError, kind, "include", include=["page.html", path])


@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_a_description_is_not_cut_in_silence(kind: type[Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "flyte"):
        assert len(kind("described", description="x" * 300).description) == 255
    assert "300 characters is cut at 255" in caplog.text


def refused(error: type[Exception], kind: type[Any], field: str, **given: Any) -> None:
    """Insist that a declaration is refused with the right class, naming the field, and leaves no trace."""
    known = dict(flyte.current_registry())
    with pytest.raises(DeclarationError, match=rf"^{kind.__name__}\.{field}: given .*; accepted: ") as caught:
        kind("refused", **given)
    assert type(caught.value) is error
    assert dict(flyte.current_registry()) == known
