"""The names of the Flyte SDK's root: there after one import, and honest about what they lack."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import flyte_nb as flyte
import pytest
from flyte_nb.absent import ABSENT
from flyte_nb.absent import NAMESPACES as ABSENT_NAMESPACES
from flyte_nb.environments.plugin_registry import TaskPluginRegistry

NAMES = """
AMD_GPU APPLE_SILICON AppHandle AsyncFunctionTaskTemplate Backoff BaseCheckpoint Cache CachePolicy CacheRequest
Checkpoint ConditionWebhook Cron Device DeviceClass Documentation Environment FixedRate GPU HABANA_GAUDI Image
ImageBuild Link Neuron OnArtifact PodTemplate Resources RetryStrategy ReusePolicy Secret SecretRequest TPU
TaskEnvironment TaskTemplate Timeout TimeoutType Trigger TriggerTime TriggeredArtifact TriggeredPartition __version__
build build_images ctx current_domain current_project custom_context deploy get_custom_context group init
init_from_api_key init_from_config init_in_cluster init_passthrough is_control_plane_available latest_checkpoint
load_interactive_ctx load_plugin_config logger map new_condition rerun run run_python_script serve system_logger trace
version with_runcontext with_servecontext
"""
SDK = NAMES.split()
NAMESPACES = [
    "app",
    "clustered",
    "config",
    "connectors",
    "durable",
    "errors",
    "extend",
    "extras",
    "io",
    "models",
    "notify",
    "report",
    "storage",
    "syncify",
    "types",
]


@pytest.mark.parametrize("name", SDK)
def test_every_root_name_of_the_sdk_is_there(name: str) -> None:
    assert name in flyte.__all__
    assert getattr(flyte, name) is not None


@pytest.mark.parametrize("name", NAMESPACES)
def test_namespaces_are_reachable_and_list_sorted_names_that_exist(name: str) -> None:
    namespace = getattr(flyte, name)
    assert namespace.__all__ == sorted(namespace.__all__, key=lambda n: (not n.isupper(), n))  # constants first
    assert [n for n in namespace.__all__ if not hasattr(namespace, n)] == []
    assert (namespace.__doc__ or "").strip()


def test_namespaces_need_no_import_of_their_own() -> None:
    code = f"import flyte_nb as flyte\nfor name in {NAMESPACES}: getattr(flyte, name)\nprint(flyte.app.extras)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_one_import_loads_no_namespace_but_the_errors() -> None:
    code = "import flyte_nb, sys\nprint(*[m for m in sys.modules if m.startswith('flyte_nb.')])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not set(loaded) & {f"flyte_nb.{n}" for n in NAMESPACES if n != "errors"}
    assert not set(loaded) & {"flyte_nb.mapping", "flyte_nb.run_context", "flyte_nb.context.task_context"}


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_absent_says_what_is_missing_and_what_to_do(name: str) -> None:
    absent = getattr(flyte, name)
    with pytest.raises(flyte.errors.InitializationError, match=rf"flyte\.{name}: .+; .+") as caught:
        absent("anything", at=1)
    assert (caught.value.code, caught.value.kind) == ("NotAvailable", "user")
    with pytest.raises(flyte.errors.InitializationError):
        asyncio.run(absent.aio())
    assert absent.__name__ == name
    assert "not available" in repr(absent)


def test_what_is_absent_cannot_be_subclassed() -> None:
    with pytest.raises(flyte.errors.InitializationError, match="keep no checkpoints"):

        class Mine(flyte.BaseCheckpoint): ...


def test_version_and_loggers() -> None:
    assert flyte.version() == flyte.__version__
    assert flyte.version()
    assert flyte.logger is logging.getLogger("flyte.user")
    assert flyte.system_logger is logging.getLogger("flyte")


def test_the_extension_points_are_the_classes_of_the_root() -> None:
    assert flyte.extend.TaskTemplate is flyte.TaskTemplate
    assert flyte.extend.AsyncFunctionTaskTemplate is flyte.AsyncFunctionTaskTemplate
    assert flyte.extend.TaskPluginRegistry is TaskPluginRegistry
    assert flyte.extend.PRIMARY_CONTAINER_DEFAULT_NAME == "primary"
    assert flyte.extend.pod_spec_from_resources is not None


def test_a_lazy_module_is_imported_when_it_is_used() -> None:
    code = (
        "import flyte_nb as flyte, sys\nm = flyte.extend.lazy_module('colorsys')\n"
        "assert 'ONE_THIRD' not in object.__getattribute__(m, '__dict__')\nassert m.ONE_THIRD > 0.3\n"
        "assert flyte.extend.lazy_module('sys') is sys"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    missing = flyte.extend.lazy_module("no_such_module")  # plugins name what they may need at the top of a module
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        missing.anything


def test_types_are_the_rules_for_values() -> None:
    assert flyte.types.check_value("input 'x'", 1, float, "a.b") == 1.0
    assert flyte.types.describe(list[int]) == "list[int]"
    assert flyte.types.parse("[1]", list[int]) == [1]


def test_an_app_handle_is_any_object_of_its_shape() -> None:
    class Handle:
        name = url = endpoint = "x"

        def method(self) -> None: ...

        is_active = is_deactivated = activate = deactivate = ephemeral_ctx = ephemeral_ctx_sync = method

    assert isinstance(Handle(), flyte.AppHandle)
    assert not isinstance(object(), flyte.AppHandle)


def test_what_is_nowhere_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        flyte.nonsense


@pytest.mark.parametrize("name", ABSENT_NAMESPACES)
def test_namespaces_that_need_a_cluster_say_so_where_they_are_used(name: str) -> None:
    namespace = getattr(flyte, name)
    assert namespace is getattr(flyte, name)
    assert "not available" in repr(namespace)
    for each in namespace.__all__:
        with pytest.raises(flyte.errors.InitializationError, match=rf"flyte\.{name}\.{each}: .+; .+"):
            getattr(namespace, each)()
    with pytest.raises(AttributeError):
        namespace.nonsense


def test_methods_of_what_is_absent_are_absent_too() -> None:
    get = flyte.remote.Task.get
    with pytest.raises(flyte.errors.InitializationError, match=r"flyte\.remote\.Task\.get: it needs .+; use what"):
        get(name="e.t")
    with pytest.raises(flyte.errors.InitializationError, match=r"flyte\.remote\.Run\.listall: "):
        asyncio.run(flyte.remote.Run.listall.aio())
    with pytest.raises(AttributeError):
        flyte.remote.Run._repr_html_
