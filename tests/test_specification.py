"""The specification, sentence by sentence: each test is named after what it shows; snippets run as they are printed.

``import flyte`` is read as ``import flyte_nb as flyte``, and the bodies of functions, which the printed page shows
without indentation, get theirs back. Nothing else of a snippet is changed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flyte_nb as flyte
import pytest
from flyte_nb.environments.cache import Cache
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.plugin_registry import TaskPluginRegistry
from flyte_nb.environments.policies import RetryStrategy
from flyte_nb.errors import DeclarationError
from flyte_nb.plan.graph import order
from flyte_nb.session import Session
from kubernetes.client import V1Container, V1PodSpec, V1Volume

from kernels import Kernel

TASKS = """
import flyte

# Define the environment defaults
env = flyte.TaskEnvironment(
name="data-processing",
image="ghcr.io/org/image:latest",
resources=flyte.Resources(cpu="2", memory="4Gi"),
)

# Bind a task to this environment
@env.task(cache="auto")
async def process_data(input_path: str) -> str:
# Task logic here
    return f"Processed {input_path}"
"""
APP = """
app_env = flyte.app.AppEnvironment(
name="my-api-service",
port=8080,
scaling=flyte.app.Scaling(replicas=(1, 5)),
)

@app_env.server
def run_server():
    import uvicorn
    from fastapi import FastAPI
    app = FastAPI()
    uvicorn.run(app, host="0.0.0.0", port=8080)
"""
CONNECTOR = """
connector = flyte.app.ConnectorEnvironment(
name="batch-job-connector",
image="my-connector-image:v1",
include=["my_connector"],
)
"""
CLONE = """
base_env = flyte.TaskEnvironment(
name="base-env",
image="my-image:latest",
resources=flyte.Resources(cpu="1", memory="2Gi"),
)

# Create a specialized GPU environment from the base
gpu_env = base_env.clone_with(
name="gpu-env",
resources=flyte.Resources(gpu="1", memory="16Gi")
)
"""
KINDS = [flyte.TaskEnvironment, flyte.app.AppEnvironment, flyte.app.ConnectorEnvironment]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session of its own, whose store is a folder of the test."""
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "store"))
    made = Session(folder=tmp_path)
    monkeypatch.setattr("flyte_nb.session._session", made)
    yield made
    made.close()


def executed(snippet: str, file: str = __file__) -> SimpleNamespace:
    """Run a snippet after the specification's own import, as if it were in a file, and give the names it bound."""
    source = snippet if "import flyte\n" in snippet else f"import flyte\n{snippet}"
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(source.replace("import flyte\n", "import flyte_nb as flyte\n"), file, "exec"), names)
    return SimpleNamespace(**names)


# Execution Environments


def test_execution_environments_provide_a_declarative_way_to_define_infrastructure() -> None:
    env = executed(TASKS).env
    assert env.to_dict() == {
        "type": "TaskEnvironment", "name": "data-processing", "image": "ghcr.io/org/image:latest",
        "resources": {"type": "Resources", "cpu": "2", "memory": "4Gi"},
    }  # fmt: skip


@kinds
def test_one_can_control_images_resources_secrets_and_dependencies_for_tasks_and_applications(kind: Any) -> None:
    other = flyte.Environment("other")
    env = kind("env", image="img:1", resources=flyte.Resources(cpu=1), secrets="key", depends_on=[other])
    assert (env.image, env.resources.cpu, env.secrets, env.depends_on) == ("img:1", 1, "key", [other])


# The Base Environment


def test_environment_itself_is_typically_not_instantiated_directly() -> None:
    env = flyte.Environment("base")  # it can be: it holds settings, and has neither tasks nor hooks
    assert flyte.current_registry()["base"] is env
    assert not hasattr(env, "task")
    with pytest.raises(NotImplementedError, match="a TaskEnvironment has, and an app has"):
        env.clone_with("other")


@kinds
def test_environment_is_the_foundation_whose_attributes_are_shared_by_tasks_and_apps(kind: Any) -> None:
    assert issubclass(kind, flyte.Environment)
    shared = [f.name for f in dataclasses.fields(flyte.Environment) if f.init]
    assert [f.name for f in dataclasses.fields(kind) if f.init][: len(shared)] == shared


@kinds
@pytest.mark.parametrize("image", ["ghcr.io/org/image:latest", flyte.Image.from_base("img:1"), "auto"])
def test_the_image_parameter_accepts_a_uri_an_image_or_auto(kind: Any, image: Any) -> None:
    assert kind("env", image=image).image == image


@kinds
def test_resources_specify_cpu_memory_gpu_and_disk(kind: Any) -> None:
    resources = flyte.Resources(cpu="500m", memory="4Gi", gpu="A100:1", disk="10Gi")
    assert kind("env", resources=resources).resources == resources


@kinds
@pytest.mark.parametrize("secrets", ["key", flyte.Secret("key"), ["key", flyte.Secret("other")]])
def test_secrets_are_injected_via_secret_request(kind: Any, secrets: Any) -> None:
    assert kind("env", secrets=secrets).secrets == secrets


@kinds
@pytest.mark.parametrize("template", ["a-named-template", flyte.PodTemplate(labels={"team": "birds"})])
def test_a_pod_template_is_an_object_or_a_reference_to_a_named_template(kind: Any, template: Any) -> None:
    assert kind("env", pod_template=template).pod_template == template


@kinds
def test_advanced_kubernetes_configuration_like_sidecars_or_volumes_can_be_applied(kind: Any) -> None:
    sidecar, volume = V1Container(name="proxy", image="envoy"), V1Volume(name="scratch")
    spec = V1PodSpec(containers=[V1Container(name="primary"), sidecar], volumes=[volume])
    template = kind("env", pod_template=flyte.PodTemplate(spec)).pod_template.with_termination_grace_period(60)
    assert [container.name for container in template.pod_spec.containers] == ["primary", "proxy"]
    assert [volume.name for volume in template.pod_spec.volumes] == ["scratch"]


variables = flyte.TaskEnvironment("variables", env_vars={"MODE": "slow", "KEPT": "yes"})


@variables.task
def seen(names: list[str]) -> list[str | None]:
    return [os.environ.get(name) for name in names]


def test_environment_variables_are_passed_to_the_task_at_runtime(session: Session) -> None:
    names = ["MODE", "KEPT", "MORE"]
    assert flyte.run(seen, names).outputs()[0] == ["slow", "yes", None]
    called = seen.override(env_vars={"MODE": "fast", "MORE": "too"})  # the most specific level, in place of the others
    assert flyte.run(called, names).outputs()[0] == ["fast", None, "too"]
    assert not {"MODE", "MORE"} & set(os.environ)


def test_secrets_provide_secure_access_to_credentials(session: Session) -> None:
    session.secrets.set("api-key", "s3cr3t-value")
    run = flyte.run(seen.override(secrets=flyte.Secret("api-key")), ["API_KEY"])
    assert run.outputs() == (["s3cr3t-value"],)
    assert "API_KEY" not in os.environ
    with pytest.raises(flyte.errors.MissingSecretError, match="other-key"):
        flyte.run(seen.override(secrets="other-key"), [])


@kinds
def test_environment_variables_are_a_dictionary_of_strings(kind: Any) -> None:
    assert kind("env", env_vars={"MODE": "fast"}).env_vars == {"MODE": "fast"}
    with pytest.raises(DeclarationError, match="env_vars"):
        kind("env", env_vars={"MODE": 1})


# Name Validation and Registry


@pytest.mark.parametrize("name", ["snake_case", "kebab-case", "data-processing"])
def test_names_follow_snake_case_or_kebab_case(name: str) -> None:
    assert flyte.TaskEnvironment(name).name == name


@pytest.mark.parametrize("name", ["CamelCase", "two words", "dots.in.it", "-dash", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        flyte.TaskEnvironment(name)


@kinds
def test_upon_instantiation_every_environment_is_added_to_the_global_registry(kind: Any) -> None:
    env = kind("registered-at-once")
    assert flyte.current_registry()["registered-at-once"] is env


def test_the_deployment_system_uses_the_registry_to_discover_infrastructure_requirements() -> None:
    registry = flyte.current_registry()
    stale = flyte.TaskEnvironment("needed")
    env = flyte.TaskEnvironment("needing", depends_on=[stale])
    newest = flyte.TaskEnvironment("needed", resources=flyte.Resources(cpu=2))
    assert order([env], registry.newest)[0] is newest  # what is deployed is what is registered now


# Task Environments


runs = flyte.TaskEnvironment("runs")


@runs.task
def doubled(x: int) -> int:
    return 2 * x


@runs.task
async def doubled_later(x: int) -> int:
    return await doubled.aio(x)


def test_task_environments_are_designed_for_executing_discrete_tasks(session: Session) -> None:
    run = flyte.run(doubled, x=21)
    assert (run.outputs(), run.phase.value.lower()) == ((42,), "succeeded")
    assert flyte.run(doubled_later, x=21).outputs() == (42,)  # a task called in a task


def test_env_task_binds_a_python_function_to_the_environments_settings() -> None:
    task = executed(TASKS).process_data
    assert isinstance(task, AsyncFunctionTaskTemplate)
    assert task.resources == flyte.Resources(cpu="2", memory="4Gi")
    assert task.image == flyte.Image.from_base("ghcr.io/org/image:latest")


# Configuration Hierarchy


def levels(task: Any) -> dict[str, str]:
    return {setting.name: setting.level for setting in task.settings()}


def hierarchy() -> Any:
    env = flyte.TaskEnvironment("levels", cache="disable", env_vars={"A": "1"}, resources=flyte.Resources(cpu=1))

    @env.task(cache="auto", retries=3, timeout=60)
    def task() -> None: ...

    return task


def test_the_most_specific_of_three_levels_wins() -> None:
    called = hierarchy().override(cache="override", resources=flyte.Resources(cpu=4))
    assert (called.cache, called.resources) == (Cache("override"), flyte.Resources(cpu=4))
    assert levels(called) == {
        "env_vars": "environment", "retries": "task", "timeout": "task", "cache": "override", "resources": "override",
    }  # fmt: skip


def test_task_environment_sets_the_default_for_all_tasks_within_it() -> None:
    env = flyte.TaskEnvironment("defaults", env_vars={"A": "1"}, queue="fast")
    tasks = [env.task(function) for function in (len_of, twice)]
    assert [(task.env_vars, task.queue) for task in tasks] == [({"A": "1"}, "fast")] * 2


def len_of(text: str) -> int:
    return len(text)


def twice(x: int) -> int:
    return 2 * x


def test_the_decorator_overrides_settings_for_a_specific_task() -> None:
    task = hierarchy()
    assert (task.cache, task.retries, task.timeout) == (Cache("auto"), RetryStrategy(3), 60)
    assert (levels(task)["cache"], levels(task)["env_vars"]) == ("task", "environment")


def test_override_overrides_settings_at_invocation_time() -> None:
    task = hierarchy()
    called = task.override(resources=flyte.Resources(cpu=4), env_vars={"B": "2"})
    assert (called.resources, called.env_vars) == (flyte.Resources(cpu=4), {"B": "2"})
    assert (task.resources, task.env_vars) == (flyte.Resources(cpu=1), {"A": "1"})


# Defining Tasks


def test_tasks_are_async_or_sync_functions() -> None:
    env = flyte.TaskEnvironment("both")

    async def later(x: int) -> int:
        return x + 1

    assert env.task(twice)(2) == 4
    assert asyncio.run(env.task(later)(2)) == 3


def test_the_fully_qualified_name_is_the_environments_name_and_the_functions() -> None:
    names = executed(TASKS)
    assert names.process_data.name == "data-processing.process_data"
    assert names.env.tasks == {"data-processing.process_data": names.process_data}


def test_the_snippet_of_a_task_declares_and_runs() -> None:
    task = executed(TASKS).process_data
    assert task.cache == Cache("auto")
    assert str(task.interface) == "(input_path: str) -> str"
    assert asyncio.run(task("s3://raw")) == "Processed s3://raw"


def test_the_snippet_of_a_task_runs_in_a_cell(kernel: Kernel) -> None:
    kernel.run(TASKS.replace("import flyte\n", "import flyte_nb as flyte\n"))
    ran = kernel.run("print(flyte.run(process_data, input_path='s3://raw').outputs())")
    assert "('Processed s3://raw',)" in ran.printed


# Container Reuse and Plugins


def test_reusable_containers_are_controlled_by_a_reuse_policy() -> None:
    policy = flyte.ReusePolicy(replicas=(1, 3), idle_ttl=60, concurrency=1)
    assert flyte.TaskEnvironment("warm", reusable=policy).task(twice).reusable is policy
    with pytest.raises(TypeError, match="reusable"):
        flyte.TaskEnvironment("warm", reusable=True)  # type: ignore[arg-type]


warm = flyte.TaskEnvironment("warm-containers", reusable=flyte.ReusePolicy(replicas=(1, 1)))


@warm.task
def process() -> int:
    return os.getpid()


def test_when_enabled_the_environment_maintains_warm_containers(session: Session) -> None:
    assert len({flyte.run(process).outputs()[0] for _ in range(3)}) == 1
    assert flyte.run(process.override(reusable="off")).outputs() != flyte.run(process).outputs()


def test_if_reusable_is_set_plugin_config_cannot_be_used() -> None:
    with pytest.raises(ValueError, match="plugin_config"):
        flyte.TaskEnvironment("warm", reusable=flyte.ReusePolicy(2), plugin_config=object())


def test_the_plugin_config_parameter_supports_custom_task_types(monkeypatch: pytest.MonkeyPatch) -> None:
    class Spark:
        """A plugin's configuration."""

    @dataclasses.dataclass(kw_only=True)
    class SparkTask(AsyncFunctionTaskTemplate):
        plugin_config: Spark
        task_type: str = "spark"

    monkeypatch.setattr(TaskPluginRegistry, "_plugins", {Spark: SparkTask})
    task = flyte.TaskEnvironment("sparks", plugin_config=Spark()).task(twice)
    assert (type(task), task.task_type) == (SparkTask, "spark")


# App Environments and their Lifecycle Hooks


def test_the_sdk_provides_app_environment_for_long_running_services() -> None:
    code = "import flyte_nb as flyte\nprint(flyte.app.AppEnvironment('a').name)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "a\n"


@pytest.mark.parametrize("hook", ["on_startup", "server", "on_shutdown"])
def test_apps_use_decorators_to_define_their_lifecycle(hook: str) -> None:
    app = flyte.app.AppEnvironment("lifecycle")

    def function() -> None: ...

    assert getattr(app, hook)(function) is function
    assert getattr(app, f"_{hook}") is function


def test_the_snippet_of_an_app_declares_its_server() -> None:
    names = executed(APP)
    assert (names.app_env.name, names.app_env.get_port().port) == ("my-api-service", 8080)
    assert names.app_env._server is names.run_server
    assert inspect.isfunction(names.run_server)


# Scaling and Networking


def test_scaling_defines_the_minimum_and_maximum_replicas() -> None:
    assert executed(APP).app_env.scaling.get_replicas() == (1, 5)
    for wrong in ((5, 1), (-1, 1)):
        with pytest.raises(ValueError, match="replicas"):
            flyte.app.Scaling(replicas=wrong)


def test_the_port_defaults_to_8080() -> None:
    assert flyte.app.AppEnvironment("app").get_port().port == 8080


@pytest.mark.parametrize("port", [8012, 8022, 8112, 9090, 9091])
def test_reserved_ports_raise_a_value_error(port: int) -> None:
    with pytest.raises(ValueError, match="reserved"):
        flyte.app.AppEnvironment("app", port=port)
    with pytest.raises(ValueError, match="reserved"):
        flyte.app.Port(port)


def test_requires_auth_is_true_by_default() -> None:
    assert flyte.app.AppEnvironment("app").requires_auth is True
    assert flyte.app.AppEnvironment("app", requires_auth=False).requires_auth is False


# Connector Environments


def test_connector_environment_is_a_specialized_app_environment() -> None:
    assert isinstance(executed(CONNECTOR).connector, flyte.app.AppEnvironment)


def test_include_becomes_dotted_module_names_after_modules() -> None:
    arguments = executed(CONNECTOR).connector.container_args(None)
    assert arguments[-2:] == ["--modules", "my_connector"]
    several = flyte.app.ConnectorEnvironment("several", include=["jobs/batch.py", "jobs/stream"])
    assert several.container_args(None)[-4:] == ["--modules", "jobs.batch", "--modules", "jobs.stream"]


def test_the_snippet_of_a_connector_declares_it() -> None:
    connector = executed(CONNECTOR).connector
    assert (connector.name, connector.image) == ("batch-job-connector", "my-connector-image:v1")
    assert connector.include == ("my_connector",)


# Cloning Environments


@kinds
def test_clone_with_inherits_all_settings_and_allows_specific_overrides(kind: Any) -> None:
    env = kind("original", env_vars={"A": "1"}, description="text", service_account="me", interruptible=True)
    clone = env.clone_with("clone", description="other")
    assert (clone.env_vars, clone.service_account, clone.interruptible) == ({"A": "1"}, "me", True)
    assert (clone.description, env.description) == ("other", "text")
    assert dataclasses.replace(clone, name="original", description="text") == env


def test_the_snippet_of_a_clone_makes_a_gpu_environment() -> None:
    names = executed(CLONE)
    assert (names.gpu_env.name, names.gpu_env.image) == ("gpu-env", "my-image:latest")
    assert names.gpu_env.resources == flyte.Resources(gpu="1", memory="16Gi")
    assert names.gpu_env.resources.get_device().quantity == 1
    assert names.base_env.resources == flyte.Resources(cpu="1", memory="2Gi")
    assert {"base-env", "gpu-env"} <= set(flyte.current_registry())


# Deployment Dependencies


def test_environments_depend_on_one_another_through_depends_on_or_add_dependency() -> None:
    connector = executed(CONNECTOR).connector
    env = flyte.TaskEnvironment("jobs", depends_on=[connector])
    late = flyte.TaskEnvironment("late-jobs")
    late.add_dependency(connector)
    assert env.depends_on == late.depends_on == [connector]


def test_when_an_environment_is_deployed_its_dependencies_are_also_provisioned(tmp_path: Path) -> None:
    source = f'{CONNECTOR}\nenv = flyte.TaskEnvironment("jobs", depends_on=[connector])'
    file = tmp_path / "jobs.py"
    (tmp_path / "my_connector").mkdir()
    for path in (file, tmp_path / "my_connector" / "__init__.py"):
        path.write_text("")
    env = executed(source, str(file)).env
    assert [e.name for e in order([env])] == ["batch-job-connector", "jobs"]
    bundle = Session(folder=tmp_path).shipping.bundle([env])
    assert [row["environment"] for row in bundle.environments] == ["batch-job-connector", "jobs"]
    assert [shipped.path for shipped in bundle.files] == ["my_connector/__init__.py"]


# File Inclusion


@kinds
def test_include_bundles_extra_files_with_the_environments_code(kind: Any) -> None:
    env = kind("env", include=["settings.yaml", "templates/"])
    assert env.include == ("settings.yaml", "templates/")
    assert env.to_dict()["include"] == ["settings.yaml", "templates/"]


@kinds
def test_the_declaring_file_is_where_the_environment_was_instantiated(kind: Any) -> None:
    assert kind("env")._declaring_file == __file__
    assert kind("env").clone_with("clone")._declaring_file == __file__


def test_relative_paths_are_resolved_against_the_declaring_file() -> None:
    beside = str(Path(__file__).parent / "jobs" / "batch.py")
    connector = flyte.app.ConnectorEnvironment("beside", include=["jobs/batch.py", beside])
    assert connector.modules() == ["jobs.batch"]  # the absolute path is the relative one, beside this file
