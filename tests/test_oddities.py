"""The oddities of the Flyte SDK 2.12.1, one by one: which are done better here, and which are kept.

Each is decided and checked here; a row may be both, in parts.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, dataclass, fields
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import flyte_nb as flyte
import pytest
from fastapi import FastAPI
from flyte_nb.app import AppEnvironment, Parameter, Port, RunOutput, Scaling
from flyte_nb.app.extras import FastAPIAppEnvironment
from flyte_nb.app_specs import command_of
from flyte_nb.environments.cache import Cache, VersionParameters
from flyte_nb.environments.function_task import AsyncFunctionTaskTemplate
from flyte_nb.environments.interface import NativeInterface, check_value
from flyte_nb.environments.plugin_registry import TaskPluginRegistry
from flyte_nb.environments.pod_spec import pod_spec_from_resources
from flyte_nb.environments.pod_template import PodTemplate
from flyte_nb.environments.policies import RetryStrategy, ReusePolicy
from flyte_nb.environments.task import TaskEnvironment
from flyte_nb.errors import (
    DeclarationError,
    DeclarationTypeError,
    DeclarationValueError,
    DeploymentError,
    InputError,
    RetriesExhaustedError,
    RuntimeDataValidationError,
    RuntimeUserError,
    UsageError,
)
from flyte_nb.plan.graph import order
from flyte_nb.session import Session

from app_bench import SERVER, AppBench

BETTER, KEPT = "better", "kept"


class Row(NamedTuple):
    """One oddity: its number, where it is, which way it is decided, how, and the check of that."""

    number: int
    where: str
    decision: str
    how: str
    check: Callable[..., None]


ROWS: list[Row] = []


def decided(number: int, where: str, decision: str, how: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Enter a row with the function that checks it."""

    def enter(check: Callable[..., None]) -> Callable[..., None]:
        ROWS.append(Row(number, where, decision, how, check))
        return check

    return enter


def refused(call: Callable[[], Any], named: str = "", error: type[Exception] = DeclarationError) -> None:
    with pytest.raises(error, match=named):
        call()


tasks = TaskEnvironment("oddities")


@tasks.task
def halve(x: float) -> float:
    if x < 0:
        raise KeyError("negative")
    return x / 2


@tasks.task
async def halve_later(x: float) -> float:
    if x < 0:
        raise KeyError("negative")
    return x / 2


@tasks.task
def three_for_two() -> tuple[int, int]:
    return 1, 2, 3  # type: ignore[return-value]  # what the check is about


@decided(1, "Environment.add_dependency", BETTER, "a dependency is there once; the environment itself is refused")
def _() -> None:
    env, dep = TaskEnvironment("env"), TaskEnvironment("dep")
    env.add_dependency(dep, dep)
    env.add_dependency(dep)
    assert env.depends_on == [dep]
    refused(lambda: env.add_dependency(env), "itself")


@decided(2, "deployment plan", BETTER, "each environment is visited once; a cycle is told with its path")
def _() -> None:
    top = TaskEnvironment("top")
    for level in range(30):
        sides = [TaskEnvironment(f"side-{level}-{side}", depends_on=[top]) for side in "ab"]
        top = TaskEnvironment(f"top-{level}", depends_on=sides)
    assert len(order([top])) == 91
    one, two = TaskEnvironment("one"), TaskEnvironment("two")
    one.add_dependency(two)
    two.add_dependency(one)
    refused(lambda: order([one]), r"one → two → one|two → one → two", DeploymentError)


@decided(3, "plan of several roots", BETTER, "one graph: the order of the arguments does not count")
def _() -> None:
    low = TaskEnvironment("low")
    up = TaskEnvironment("up", depends_on=[low])
    assert [e.name for e in order([up, low])] == [e.name for e in order([low, up])] == ["low", "up"]


@decided(4, "registry", BETTER, "only valid environments; the newest of a name replaces")
def _() -> None:
    registry = flyte.current_registry()
    refused(lambda: AppEnvironment("odd-app", port=9090), "port")
    refused(lambda: TaskEnvironment("odd-task", cache=1), "cache")
    assert not {"odd-app", "odd-task"} & set(registry)
    first, second = TaskEnvironment("odd-twice"), TaskEnvironment("odd-twice")
    assert registry["odd-twice"] is second is not first


@decided(5, "_declaring_file", BETTER, "only this package's own folder is skipped, not every folder called flyte")
def _() -> None:
    source = "import flyte_nb as flyte\nenv = flyte.TaskEnvironment('placed')"
    names: dict[str, Any] = {}
    exec(compile(source, "/home/me/flyte/flyte_nb/envs.py", "exec"), names)
    assert names["env"]._declaring_file == "/home/me/flyte/flyte_nb/envs.py"


@decided(6, "Environment's checks", BETTER, "every field is checked and named")
def _() -> None:
    for wrong in (
        {"name": 1}, {"depends_on": None}, {"include": None}, {"secrets": [1]}, {"env_vars": {"A": 1}},
        {"interruptible": "no"}, {"queue": 1}, {"image": 0},
    ):  # fmt: skip
        given: dict[str, Any] = {"name": "env", **wrong}
        refused(lambda given=given: TaskEnvironment(**given), rf"\.{next(iter(wrong))}: ", DeclarationTypeError)
    refused(lambda: TaskEnvironment("env", include=[""]), "include", DeclarationValueError)
    refused(lambda: TaskEnvironment("env", image=""), "image", DeclarationValueError)


@decided(7, "TaskEnvironment.cache", KEPT, "an unknown word is accepted until a task takes it; now with a warning")
def _(caplog: pytest.LogCaptureFixture) -> None:
    env = TaskEnvironment("env", cache="sometimes")
    assert "sometimes" in caplog.text
    refused(lambda: env.task(lambda: 1), "sometimes", DeclarationValueError)


@decided(8, "clone_with", BETTER, "every field can be overridden; None keeps, reset= takes back; functions travel")
def _() -> None:
    env = TaskEnvironment("env", queue="fast", env_vars={"A": "1"})
    clone = env.clone_with("clone", pod_template="pod", plugin_config=1, queue="slow", reset=["env_vars"])
    assert (clone.pod_template, clone.plugin_config, clone.queue, clone.env_vars) == ("pod", 1, "slow", None)
    app = AppEnvironment("app")
    function = app.server(lambda: None)
    assert app.clone_with("other", interruptible=True)._server is function
    assert app.clone_with("other", interruptible=True).interruptible is True
    web = FastAPIAppEnvironment(name="web", app=FastAPI())
    assert [link.path for link in web.clone_with("other").links] == ["/docs"]


@decided(8, "clone_with", KEPT, "reusable=None clears, every other None keeps")
def _() -> None:
    env = TaskEnvironment("env", queue="fast", reusable=ReusePolicy(2))
    assert env.clone_with("clone", queue=None).queue == "fast"
    assert env.clone_with("clone").reusable == ReusePolicy(2)
    assert env.clone_with("clone", reusable=None).reusable is None


@decided(9, "override", BETTER, "only None keeps, an empty value resets; the same rules as the decorator's")
def _() -> None:
    env = TaskEnvironment("env", env_vars={"A": "1"}, queue="fast", secrets="key")
    task = env.task(retries=3, timeout=5)(halve.func)
    task = task.override(retries=0, timeout=0, env_vars={}, secrets=[], queue="", links=())
    assert (task.retries, task.timeout, task.env_vars, task.secrets) == (RetryStrategy(0), 0, {}, [])
    assert (task.queue, task.links) == ("", ())
    warm = TaskEnvironment("warm", reusable=ReusePolicy(2))
    refused(lambda: warm.task(pod_template="pod")(halve.func), "pod_template")
    refused(lambda: warm.task(halve.func).override(pod_template="pod"), "pod_template")
    refused(lambda: task.override(cpu=1), r"override\(\) got .*'cpu'; accepted: ", TypeError)


@decided(10, "decorator", BETTER, "a second function of one name is refused; every setting is checked")
def _() -> None:
    env = TaskEnvironment("env")

    @env.task
    def twice() -> None: ...

    with pytest.raises(DeclarationValueError, match="bound at"):

        @env.task
        def twice() -> None: ...

    for wrong in ({"links": None}, {"retries": None}, {"timeout": "5"}, {"triggers": [1]}):
        refused(lambda wrong=wrong: TaskEnvironment("e").task(**wrong)(halve.func), next(iter(wrong)))


@decided(11, "AppEnvironment's name", BETTER, "a DNS label: no backslash, at most 63 characters")
def _() -> None:
    for wrong in ("a\\b", "a.b", "a" * 64):
        refused(lambda wrong=wrong: AppEnvironment(wrong), "name", DeclarationValueError)


@decided(12, "Port", BETTER, "an int from 1 to 65535 that is not reserved")
def _() -> None:
    for wrong in (0, -1, 65536, "8080", True, 80.0):
        refused(lambda wrong=wrong: Port(wrong), "port")
        refused(lambda wrong=wrong: AppEnvironment("app", port=wrong), "port")


@decided(13, "Scaling", BETTER, "types are checked, 0 seconds is a timedelta, both measures are frozen")
def _() -> None:
    assert Scaling(scaledown_after=0).scaledown_after is not None
    refused(lambda: Scaling(scaledown_after=-1), "scaledown_after")
    refused(lambda: Scaling(("a", "b")), "replicas", DeclarationTypeError)
    refused(lambda: setattr(Scaling.RequestRate(1), "val", 2), "cannot assign", FrozenInstanceError)


@decided(13, "Scaling", KEPT, "a number of 0 replicas is none; a pair of zeros is refused")
def _() -> None:
    assert Scaling(0).replicas == (0, 0)
    refused(lambda: Scaling((0, 0)), "replicas", DeclarationValueError)


@decided(14, "Resources", BETTER, "quantities are parsed, pairs compared, devices checked against what there is")
def _() -> None:
    for wrong in (
        {"memory": "lots"}, {"cpu": "-1"}, {"cpu": ""}, {"cpu": float("nan")}, {"cpu": True}, {"cpu": (2, 1)},
        {"gpu": 1.5},
    ):  # fmt: skip
        refused(lambda wrong=wrong: flyte.Resources(**wrong), next(iter(wrong)))
    refused(lambda: flyte.GPU("T4", 1000), "quantity")
    refused(lambda: flyte.GPU("T4", "1"), "quantity", DeclarationTypeError)  # type: ignore[arg-type]
    refused(lambda: flyte.GPU("T4", 1, "1g"), "partition")
    refused(lambda: flyte.Device(1, "GPUX"), "device_class")


@decided(15, "GPU's error", BETTER, "the nearest names, not all of them")
def _() -> None:
    with pytest.raises(DeclarationValueError, match="did you mean 'A10'") as caught:
        flyte.Resources(gpu="A10O:1")
    assert len(str(caught.value)) < 300


@decided(16, "Neuron, AMD_GPU, HABANA_GAUDI", BETTER, "they have a quantity; strings stay as they are")
def _() -> None:
    assert flyte.Neuron("Trn1", 4).quantity == 4
    assert flyte.AMD_GPU("MI300X", 8).quantity == flyte.HABANA_GAUDI("Gaudi1", 8).quantity == 8
    refused(lambda: flyte.Neuron("Trn1", 3), "1, 4, 8 or 16")
    refused(lambda: flyte.AMD_GPU("MI300X", 9), "1 to 8")
    refused(lambda: flyte.Resources(gpu="MI300X:2"), r"for more use AMD_GPU\('MI300X', quantity\)")


@decided(17, "pod_spec_from_resources", BETTER, "strings, the maker's own key, no request for no GPU")
def _() -> None:
    none = pod_spec_from_resources(requests=flyte.Resources(cpu=1, gpu=0)).containers[0].resources
    assert none.requests == {"cpu": "1"}
    neuron = pod_spec_from_resources(requests=flyte.Resources(gpu=flyte.Neuron("Trn1"))).containers[0].resources
    assert neuron.requests == {"aws.amazon.com/neuron": "1"}


@decided(18, "Secret", BETTER, "refused by the key that was written; the whole name is matched; frozen")
def _() -> None:
    refused(lambda: flyte.Secret("my.key"), r"Secret\.key: given 'my\.key' .*as_env_var='MY_KEY'")
    refused(lambda: flyte.Secret("a", as_env_var="A\n"), "as_env_var")
    refused(lambda: setattr(flyte.Secret("a"), "key", "b"), "cannot assign", FrozenInstanceError)


@decided(19, "PodTemplate.to_k8s_pod", BETTER, "without a spec it has the primary container")
def _() -> None:
    spec = PodTemplate(primary_container_name="main").with_termination_grace_period(5).pod_spec
    assert [c.name for c in spec.containers] == ["main"]  # the protobuf form needs a package of the Flyte SDK


@decided(20, "ReusePolicy", BETTER, "at least one replica, no bool; the time to scale down is never None")
def _() -> None:
    for wrong in (0, (0, 0), True):
        refused(lambda wrong=wrong: ReusePolicy(wrong), "replicas")
    refused(lambda: ReusePolicy(scaledown_ttl=None), "scaledown_ttl")  # type: ignore[arg-type]
    assert ReusePolicy().get_scaledown_ttl().total_seconds() == 30


@decided(21, "RetryStrategy, Backoff, Timeout", BETTER, "types and bounds are checked and named")
def _() -> None:
    refused(lambda: RetryStrategy(True), "count", DeclarationTypeError)
    refused(lambda: RetryStrategy(1, "x"), "backoff", DeclarationTypeError)  # type: ignore[arg-type]
    refused(lambda: flyte.Backoff(1), "base", DeclarationTypeError)  # type: ignore[arg-type]
    refused(lambda: flyte.Timeout("1"), "max_runtime", DeclarationTypeError)  # type: ignore[arg-type]
    refused(lambda: flyte.Timeout(-1), "max_runtime", DeclarationValueError)


@decided(22, "Cache", BETTER, "policies are checked, ignored inputs are a tuple, the default is documented as it is")
def _() -> None:
    refused(lambda: Cache("auto", policies=[1]), "policies", DeclarationTypeError)  # type: ignore[list-item]
    assert Cache("auto", ignored_inputs=["x"]).get_ignored_inputs() == ("x",)  # type: ignore[arg-type]
    assert "'disable'" in (TaskEnvironment.__doc__ or "").replace('``"disable"``', "'disable'")


@decided(22, "Cache", BETTER, "what a function calls counts in its version, and so do its defaults and the image")
def _() -> None:
    def version(func: Callable[..., Any], image: str | None = None) -> str:
        return Cache("auto").get_version(VersionParameters(func, image))

    def doubled(by: int) -> Callable[..., Any]:
        helper = (lambda x: x * 2) if by == 2 else (lambda x: x * 3)

        def function(x: int, more: list[int] = [by]) -> int:  # noqa: B006 - its value is what the check is about
            return helper(x) + len(more)

        return function

    assert version(doubled(2)) == version(doubled(2)) != version(doubled(3))
    assert version(doubled(2), "a:1") != version(doubled(2), "a:2")


@decided(23, "Trigger", BETTER, "schedules, time zones, rates and types are checked, the inputs against the task's")
def _() -> None:
    refused(lambda: flyte.Cron("every day"), "expression")
    refused(lambda: flyte.Cron("0 0 * * *", "Mars/Olympus"), "timezone")
    refused(lambda: flyte.FixedRate(0), "interval_minutes")
    refused(lambda: flyte.Trigger("t", 1), "automation")  # type: ignore[arg-type]
    trigger = flyte.Trigger("t", flyte.Cron("0 0 * * *"), inputs={"when": 1})
    assert hash(trigger) == hash(copy.deepcopy(trigger))
    assert flyte.Trigger.daily(notifications=None).name == "daily"
    refused(lambda: TaskEnvironment("env").task(triggers=trigger)(halve.func), "when", ValueError)


@decided(24, "Link", BETTER, "the protocol can be checked, and is")
def _() -> None:
    assert not isinstance(object(), flyte.Link)
    refused(lambda: TaskEnvironment("env").task(links=[object()])(halve.func), "links", DeclarationTypeError)


@decided(25, "Image", BETTER, "the tag tells layers and their parts apart; one rule for lists; files are looked for")
def _() -> None:
    image = flyte.Image.from_debian_base(name="odd")
    assert image.with_pip_packages("ab", "c").uri != image.with_pip_packages("a", "bc").uri
    assert image.with_workdir("ls").uri != image.with_commands("ls").uri
    assert image.with_uv_project("pyproject.toml", extra_index_urls=["a"]) is not image
    assert flyte.Image.from_debian_base(registry_secret="s") != flyte.Image.from_debian_base()
    refused(lambda: flyte.Image.from_debian_base(python_version=(3, 9)), "python_version")
    refused(image.with_pip_packages, "packages")
    refused(lambda: image.with_source_folder("no/such/folder").uri, "no/such/folder", flyte.errors.ImageBuildError)


@decided(26, "direct call", BETTER, "sync or async, one error, with the original as its cause")
def _() -> None:
    for call in (lambda: halve(-1), lambda: asyncio.run(halve_later(-1))):
        with pytest.raises(RuntimeUserError) as caught:
            call()
        assert caught.value.code == "KeyError"
        assert isinstance(caught.value.__cause__, KeyError)


@decided(27, "aio outside a task", BETTER, "it is awaited")
def _() -> None:
    assert asyncio.run(halve.aio(1)) == asyncio.run(halve_later.aio(1)) == 0.5


@decided(28, "inputs", BETTER, "bound as Python binds them; an int is a float")
def _() -> None:
    interface = NativeInterface.from_callable(halve.func)
    refused(lambda: interface.convert_to_kwargs(y=1), "unknown input 'y'", InputError)
    refused(lambda: interface.convert_to_kwargs(1, x=1), "given twice", InputError)
    refused(lambda: interface.complete(), "missing input 'x'", InputError)
    assert type(check_value("x", 1, float, "halve")) is float


@decided(29, "run result", BETTER, "a name of its own and the phase it ended in")
def _(session: Session) -> None:
    run = flyte.run(halve, x=1)
    assert run.name.startswith("halve-")
    assert (run.phase.value.lower(), run.outputs()) == ("succeeded", (0.5,))


@decided(30, "errors of a run", BETTER, "the original exception is the cause")
def _(session: Session) -> None:
    with pytest.raises(RuntimeUserError) as caught:
        flyte.run(halve, x=-1)
    assert isinstance(caught.value.__cause__, KeyError)


@decided(30, "errors of a run", BETTER, "a wrong number of outputs is told as a value that does not fit")
def _(session: Session) -> None:
    with pytest.raises(RuntimeDataValidationError, match="a tuple of 2"):
        flyte.run(three_for_two)
    assert RetriesExhaustedError("RetriesExhausted", "3 attempts").kind == "user"


@decided(30, "errors of a run", BETTER, "exhausted retries raise it, with the code and the cause of the last error")
def _(session: Session) -> None:
    quick = flyte.RetryStrategy(1, flyte.Backoff(timedelta(0)))
    with pytest.raises(RetriesExhaustedError, match="attempt 2 of 2") as caught:
        flyte.run(halve.override(retries=quick), x=-1)
    assert caught.value.code == "KeyError"
    assert isinstance(caught.value.__cause__, KeyError)


several = flyte.TaskEnvironment("several", reusable=flyte.ReusePolicy((2, 4)))


@several.task
def sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@tasks.task
def leaves() -> None:
    sys.exit(3)


@tasks.task
def says() -> list[str]:
    return [os.environ["MODE"], os.environ["OWN"]]


@tasks.task
def maps(count: int, seconds: float) -> float:
    list(flyte.map(sleeps, [0.0] * 4, concurrency=4))
    start = time.monotonic()
    assert list(flyte.map(sleeps, [seconds] * count, concurrency=4)) == [seconds] * count
    return time.monotonic() - start


@decided(31, "run mode", BETTER, "an unknown mode is refused")
def _() -> None:
    refused(lambda: flyte.with_runcontext("nowhere"), "mode")


@decided(
    32,
    "local run",
    BETTER,
    "limits, variables, overwrite_cache apply; sys.exit is an error; map is concurrent",
)
def _(session: Session) -> None:
    with pytest.raises(flyte.errors.MaxRuntimeExceededError):
        flyte.run(sleeps.override(timeout=timedelta(seconds=0.3)), 30.0)
    with pytest.raises(RuntimeUserError, match=r"sys\.exit"):
        flyte.run(leaves)
    told = flyte.with_runcontext(env_vars={"MODE": "run"}).run(says.override(env_vars={"MODE": "task", "OWN": "1"}))
    assert told.outputs() == (["run", "1"],)
    assert flyte.run(maps, 8, 0.2).outputs()[0] < 8 * 0.2
    cached = halve.override(cache="auto")
    kept = [flyte.with_runcontext(overwrite_cache=over).run(cached, x=5) for over in (False, False, True)]
    assert [run.root.cached for run in kept] == [False, True, False]


@decided(33, "notebooks", BETTER, "a verb works in a running loop; a report is always text")
def _(session: Session) -> None:
    async def cell() -> Any:
        return flyte.run(halve, x=1).outputs()

    assert asyncio.run(cell()) == (0.5,)
    assert isinstance(flyte.report.Report("r").get_final_report(), str)


@decided(34, "map", BETTER, "as many items in each, partials that leave one input open, tasks only")
def _() -> None:
    refused(lambda: list(flyte.map(halve, [1], [1, 2])), "as many in each", ValueError)
    refused(lambda: list(flyte.map(len, ["a"])), "a task", TypeError)
    assert list(flyte.map(halve, [1, 2])) == [0.5, 1.0]


@decided(34, "map", KEPT, "return_exceptions is True by default: user code reads failures from the results")
def _() -> None:
    failed = list(flyte.map(halve, [-1]))
    assert isinstance(failed[0], RuntimeUserError)


@decided(35, "custom_context, group", BETTER, "a context is told to runs outside a task too; a group there warns")
def _(caplog: pytest.LogCaptureFixture) -> None:
    with flyte.custom_context(team="birds"):
        assert flyte.get_custom_context() == {"team": "birds"}
    with flyte.group("nothing"):
        assert "nothing" in caplog.text


@decided(
    36, "serve", BETTER, "variables honoured and not left behind, hooks called, a missing value refused, ends told"
)
def _(tmp_path: Path) -> None:
    bench = AppBench(tmp_path)
    try:
        hooks = (
            "@app.on_startup\ndef up(): print('OWN is', os.environ['OWN'])\n@app.on_shutdown\ndef d(): print('closed')"
        )
        service = bench.serve(bench.spec(SERVER + hooks, env_vars={"OWN": "1"}))
        assert "OWN is 1" in bench.log(service)
        bench.stop()
        assert "r1 | closed" in bench.log(service)
        assert "OWN" not in os.environ
        with pytest.raises(UsageError, match="parameter 'p' of app 'a' has no value"):
            bench.serve(bench.spec(parameters=(Parameter("p"),)))
        with pytest.raises(RuntimeUserError, match="ended with exit code 4"):
            bench.serve(bench.spec(SERVER.replace("def serve():", "def serve():\n    os._exit(4)")))
    finally:
        bench.close()


@decided(37, "fserve", BETTER, "a command's words are run as they are, without a shell")
def _() -> None:
    assert command_of(AppEnvironment("app", command=["prog", "a b", "$HOME"])) == ("prog", "a b", "$HOME")
    assert command_of(AppEnvironment("app", args="prog 'a b'")) == ("prog", "a b")


@decided(38, "AppEnvironment", BETTER, "quiet, no live lists, parameters and items checked")
def _(capsys: pytest.CaptureFixture[str]) -> None:
    app = AppEnvironment("app", args=["x"])
    assert app.container_args(None) is not app.args
    context = SimpleNamespace(project="p", domain="d", org=None, version="v", image_cache=None, code_bundle=None)
    assert AppEnvironment("app").container_cmd(context)[0] == "fserve"
    assert capsys.readouterr().out == ""
    refused(lambda: AppEnvironment("app", command=[], parameters=[Parameter("p", "v")]), "command")
    refused(lambda: AppEnvironment("app", parameters=[Parameter("p", "v"), Parameter("p", "w")]), "parameters")
    refused(lambda: AppEnvironment("app", links=["x"]), "links", DeclarationTypeError)  # type: ignore[list-item]


@decided(39, "Parameter, RunOutput", BETTER, "validate() checks, the caller's dict stays, the whole name is matched")
def _() -> None:
    refused(RunOutput(type="file").validate, "run_name")
    given = {"type": str, "run_name": "r"}
    assert RunOutput.model_validate(given) == RunOutput(type="string", run_name="r")
    assert given == {"type": str, "run_name": "r"}
    refused(lambda: Parameter("p", env_var="A\n"), "env_var")
    refused(lambda: AppEnvironment("app", parameters=[Parameter(None, "a"), Parameter(None, "b")]), "i0")


@decided(39, "Parameter, RunOutput", KEPT, "a RunOutput without a run is accepted when it is made")
def _() -> None:
    assert RunOutput(type="file").run_name is None


@decided(40, "FastAPIAppEnvironment", BETTER, "the application's state stays; its type is checked first")
def _() -> None:
    application = FastAPI()
    application.state.model = "mine"
    FastAPIAppEnvironment(name="web", app=application)
    assert application.state.model == "mine"
    for wrong in (None, object(), "app:app"):
        refused(lambda wrong=wrong: FastAPIAppEnvironment(name="web", app=wrong), "app", DeclarationTypeError)


@decided(41, "errors", BETTER, "no worker is made up, and every one of them pickles")
def _() -> None:
    assert flyte.errors.DeploymentError("text").worker is None
    for error in (
        flyte.errors.OOMError("Code", "text", "worker"), flyte.errors.InvalidPackageError("pkg", ValueError("text")),
        flyte.errors.RuntimeDataValidationError("x", "text", "task"), flyte.errors.TaskTimeoutError("text"),
    ):  # fmt: skip
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.code) == (type(error), str(error), error.code)
        assert again.worker == error.worker


@decided(42, "connectors", BETTER, "a retryable failure ends; the job ends with its watching; one output is itself")
def _(monkeypatch: pytest.MonkeyPatch) -> None:
    connectors = flyte.connectors
    assert connectors.utils.is_terminal_phase(connectors.JobPhase.RETRYABLE_FAILED)
    assert issubclass(connectors.FlyteConnectorNotFound, ValueError)
    monkeypatch.setattr(connectors.ConnectorRegistry, "_known", {})
    with pytest.raises(connectors.FlyteConnectorNotFound):
        connectors.ConnectorRegistry.get_connector("nothing")


@decided(43, "TaskPluginRegistry", BETTER, "another plugin of a type is told; the bases of a type are searched")
def _(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    class Config: ...

    class Special(Config): ...

    @dataclass(kw_only=True)
    class One(AsyncFunctionTaskTemplate): ...

    @dataclass(kw_only=True)
    class Two(AsyncFunctionTaskTemplate): ...

    monkeypatch.setattr(TaskPluginRegistry, "_plugins", {})
    TaskPluginRegistry.register(Config, One)
    assert TaskPluginRegistry.find(Special) is One
    TaskPluginRegistry.register(Config, Two)
    assert "One" in caplog.text
    assert "Two" in caplog.text


@decided(44, "init", BETTER, "a directory is on sys.path once")
def _(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("flyte_nb.context.settings._remembered", None)
    flyte.init(root_dir=tmp_path)
    flyte.init(root_dir=tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


@decided(45, "post hook", BETTER, "what it returns is what the task returns")
def _() -> None:
    @dataclass(kw_only=True)
    class Rounded(AsyncFunctionTaskTemplate):
        async def post(self, return_vals: Any) -> Any:
            return round(return_vals)

    template = {f.name: getattr(halve, f.name) for f in fields(halve) if f.init}
    assert asyncio.run(Rounded(**template).execute(x=3.0)) == 2


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session of its own, whose store is a folder of the test."""
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "store"))
    made = Session(folder=tmp_path)
    monkeypatch.setattr("flyte_nb.session._session", made)
    yield made
    made.close()


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.number}-{row.where}-{row.decision}" for row in ROWS])
def test_an_oddity_is_as_it_was_decided(
    row: Row,
    request: pytest.FixtureRequest,
) -> None:
    wanted = inspect.signature(row.check).parameters
    row.check(**{name: request.getfixturevalue(name) for name in wanted})


def test_every_oddity_is_decided() -> None:
    assert sorted({row.number for row in ROWS}) == list(range(1, 46))
    assert {row.decision for row in ROWS} == {BETTER, KEPT}
