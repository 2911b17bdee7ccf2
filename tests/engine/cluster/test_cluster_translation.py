"""Translation: the same code with flyte_nb and with the Flyte SDK gives the same objects, field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import flyte_nb
import pytest
from flyte_nb.engine.cluster.environments import KINDS
from flyte_nb.environments.declaration import Declaration, set_fields
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdk_cases import CASES, HEAD
from sdk_process import WHY, SdkProcess, has_sdk

#: fields that have one value only, or that no person gives
NOBODYS = {
    "AppEndpoint.type",
    "AsyncFunctionTaskTemplate.debuggable",
    "AsyncFunctionTaskTemplate.parent_env",
    "AsyncFunctionTaskTemplate.task_type",
    "AsyncFunctionTaskTemplate.task_type_version",
    "ClusteredTaskEnvironment.interconnect",
    "ClusteredTaskEnvironment.reusable",
    "CodeBundle.root_dir",
    "ContainerTask.parent_env",
    "ContainerTask.reusable",
    "PythonWheels.package_name",
    "PythonWheels.wheel_dir",
}
needs_sdk = pytest.mark.skipif(not has_sdk(), reason=WHY)


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SdkProcess]:
    process = SdkProcess(tmp_path_factory.mktemp("sdk"))
    yield process
    process.end()


@pytest.fixture(scope="module")
def missing(sdk: SdkProcess) -> list[str]:
    """What the installed version of the SDK does not have."""
    return list(sdk.ask("missing"))


def check(sdk: SdkProcess, missing: list[str], code: str) -> None:
    """A field is translated as the SDK has it, or refused by its name where the installed version has none."""
    answer = sdk.ask("compare", code)
    if answer["ours"]:
        named = [name for name in missing if answer["ours"].startswith((f"{name}:", f"{name} of", name.split(".")[0]))]
        assert named, answer["ours"]
        assert answer["theirs"], answer["ours"]
    else:
        assert not answer["theirs"], answer["theirs"]
        assert answer["differences"] == []


@needs_sdk
@pytest.mark.parametrize("code", CASES, ids=range(len(CASES)))
def test_a_declaration_becomes_what_the_sdk_makes_of_the_same_code(
    sdk: SdkProcess, missing: list[str], code: str
) -> None:
    check(sdk, missing, code)


def parts(value: Any) -> Iterator[Declaration]:
    """Give a declaration and all that it is made of."""
    if isinstance(value, Declaration):
        yield value
        for field in dataclasses.fields(value):  # type: ignore[arg-type]
            yield from parts(getattr(value, field.name))
        for task in getattr(value, "tasks", {}).values():
            yield from parts(task)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from parts(item)
    elif isinstance(value, dict):
        yield from parts(list(value.values()))


def test_the_cases_set_every_field_of_every_declaration() -> None:
    found = set()
    for code in CASES:
        names: dict[str, Any] = {"flyte": flyte_nb, "__name__": "cases"}
        exec(code, names)
        for part in parts(names["result"]):
            kind = next(KINDS[base] for base in type(part).__mro__ if base in KINDS)
            found |= {(kind.declared, name) for name, _ in set_fields(part)}
    wanted = {(kind.declared, name) for kind in KINDS.values() for name in kind.fields if name not in kind.instead}
    assert {f"{kind.__name__}.{name}" for kind, name in wanted - found} == NOBODYS


# --- generated ones ---

texts = st.text("abcXYZ09_-é", min_size=1, max_size=8).map(repr)
names = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4})?", fullmatch=True)
variables = st.dictionaries(st.from_regex(r"[A-Z]{1,4}", fullmatch=True), st.text("ab é", max_size=5), max_size=3)
amounts = st.sampled_from(["1", "0.5", "'500m'", "('1', '2')", "(1, 2.5)", "None"])
sizes = st.sampled_from(["'1Gi'", "'512Mi'", "('1Gi', '2Gi')", "None"])
gpus = st.sampled_from(["None", "0", "3", "'T4:1'", "'H100:8'", "flyte.GPU('L4', 2)", "flyte.TPU('V6E', '2x4')"])
resources = st.builds("flyte.Resources(cpu={}, memory={}, gpu={})".format, amounts, sizes, gpus)
caches = st.one_of(
    st.sampled_from(["'auto'", "'override'", "'disable'"]),
    st.builds("flyte.Cache('auto', salt={}, serialize={})".format, texts, st.booleans()),
)
policies = st.builds(
    "flyte.ReusePolicy(({}, {}), {}, 1)".format, st.integers(0, 2), st.integers(2, 5), st.integers(30, 90)
)
layers = st.sampled_from(
    [".with_pip_packages('a', pre=True)", ".with_apt_packages('b', 'c')", ".with_env_vars({'A': 'b'})",
     ".with_commands(['x', 'y'])", ".with_workdir('/w')"]
)  # fmt: skip
starts = st.sampled_from(["from_debian_base()", "from_debian_base(name='n')", "from_debian_base(install_flyte=False)"])
images = st.builds(lambda start, more: f"flyte.Image.{start}{''.join(more)}", starts, st.lists(layers, max_size=4))
timeouts = st.one_of(st.integers(0, 99).map(str), st.builds("flyte.Timeout({}, {})".format, *[st.integers(0, 99)] * 2))


@st.composite
def environments(draw: st.DrawFn) -> str:
    """Write an environment with tasks, which depends on others, and perhaps a clone of it."""
    code, known = "", list[str]()
    for place in range(draw(st.integers(1, 3))):
        needed = draw(st.lists(st.sampled_from(known), unique=True)) if known else []
        code += (
            f"e{place} = flyte.TaskEnvironment({draw(names) + str(place)!r}, [{', '.join(needed)}], "
            f"image={draw(images)}, resources={draw(resources)}, env_vars={draw(variables)!r}, "
            f"cache={draw(caches)}, reusable={draw(st.none() | policies)}, interruptible={draw(st.booleans())})\n"
        )
        known.append(f"e{place}")
        for number in range(draw(st.integers(0, 2))):
            code += (
                f"@e{place}.task(retries={draw(st.integers(0, 3))}, timeout={draw(timeouts)}, "
                f"report={draw(st.booleans())})\ndef f{number}(x: int, y: {draw(st.sampled_from(['str', 'list[int]']))}"
                f") -> {draw(st.sampled_from(['int', 'None', 'tuple[int, str]']))}: ...\n"
            )
    if draw(st.booleans()):
        code += f"result = {known[-1]}.clone_with('clone', resources={draw(resources)}, reusable=None)\n"
    return code if "result" in code else f"{code}result = {known[-1]}\n"


@st.composite
def served(draw: st.DrawFn) -> str:
    """Write an app."""
    least, most = draw(st.integers(0, 3)), draw(st.integers(3, 6))
    metric = draw(st.sampled_from(["None", "flyte.app.Scaling.Concurrency(2)", "flyte.app.Scaling.RequestRate(3)"]))
    return (
        f"result = flyte.app.AppEnvironment({draw(names)!r}, image={draw(images)}, resources={draw(resources)}, "
        f"env_vars={draw(variables)!r}, port={draw(st.integers(1, 8000))}, requires_auth={draw(st.booleans())}, "
        f"scaling=flyte.app.Scaling(({least}, {most}), {metric}, {draw(st.integers(1, 99))}), "
        f"timeouts=flyte.app.Timeouts({draw(st.none() | st.integers(0, 3600))}))"
    )


@needs_sdk
@pytest.mark.parametrize("many", [20, pytest.param(300, marks=pytest.mark.long)])
def test_generated_declarations_become_what_the_sdk_makes_of_them(
    sdk: SdkProcess, missing: list[str], many: int
) -> None:
    @settings(max_examples=many, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(code=environments() | served())
    def examine(code: str) -> None:
        check(sdk, missing, f"{HEAD}\n{code}")

    examine()
