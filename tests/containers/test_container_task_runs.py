"""ContainerTask: a command in a real container gets its inputs and leaves its outputs; and what cannot be."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flyte_nb as flyte
import pytest
from container_engine import IMAGE, prepared
from flyte_nb.containers.engine import NAMES, found
from flyte_nb.containers.files import mounts, read
from flyte_nb.containers.task import why_not
from flyte_nb.containers.words import rendered
from flyte_nb.engine.policy import Policy, policy_of
from flyte_nb.errors import RuntimeUserError
from flyte_nb.extras import ContainerTask
from flyte_nb.io import Dir, File
from flyte_nb.session import current_session

from kernels import Kernel
from scripts import Bench, ran, soon, written

SLOW = 120
CONTAINER = Policy(container=True)
DECLARED = f"""
from datetime import date
import flyte_nb as flyte
from flyte_nb.extras import ContainerTask
from flyte_nb.io import Dir, File
from flyte_nb.session import current_session

IMAGE = {IMAGE!r}

def told(name, script, inputs, outputs, **settings):
    return ContainerTask(f"e.{{name}}", IMAGE, ["sh", "-c", script], inputs, outputs=outputs, **settings)

greets = told("greets", '''
    echo "hello {{{{.inputs.name}}}}, $COLOUR"
    cat /var/inputs/text > /var/outputs/copy; wc -c < /var/inputs/text > /var/outputs/size
    echo {{{{.inputs.flag}}}} > /var/outputs/flag
    mkdir /var/outputs/folder; ls /var/inputs/many > /var/outputs/folder/names
''', {{"name": str, "flag": bool, "text": File, "many": list[File]}},
    {{"copy": File, "size": int, "flag": bool, "folder": Dir}}, env_vars={{"COLOUR": "red"}})
named = told("named", "ls /var/inputs/text > /var/outputs/out", {{"text": File}}, {{"out": str}},
             file_input_layout="NAMED_DIR")
fails = told("fails", "echo on its way >&2; exit 3", {{}}, {{}})
forgets = told("forgets", "echo", {{}}, {{"out": str}})
wrong = told("wrong", "echo many > /var/outputs/out", {{}}, {{"out": int}})
waits = told("waits", "sleep 600", {{}}, {{}})
absent = ContainerTask("e.absent", IMAGE, ["no-such-program"])
env = flyte.TaskEnvironment.from_task("e", greets, named, fails, forgets, wrong, waits, absent)
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("containers")
    why, variables = prepared(folder)
    if why:
        pytest.skip(why)
    with pytest.MonkeyPatch.context() as changed:
        for name, text in variables.items():
            changed.setenv(name, text)
        bench = Bench(folder, DECLARED)
        yield bench
        bench.close()


def containers() -> list[str]:
    return subprocess.run(
        [found().program, "ps", "--all", "--quiet", "--filter", "label=flyte-nb.owner"], capture_output=True, text=True
    ).stdout.split()


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_a_command_gets_its_inputs_and_leaves_its_outputs(bench: Bench, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("12345")
    many = [File(path=str(tmp_path / f"{name}.txt")) for name in ("a", "b")]
    run = bench.run("greets", name="you", flag=True, text=many[0], many=many, policy=CONTAINER, timeout=SLOW,
                    env_vars={"COLOUR": "red"})  # fmt: skip
    assert run.error is None, (run.error, bench.printed("stderr"))
    copy, size, flag, folder = run.outputs()
    assert (Path(copy.path).read_text(), size, flag) == ("12345", 5, True)
    assert (Path(folder.path) / "names").read_text().split() == ["0", "1"]
    assert "hello you, red" in bench.printed()
    assert containers() == []
    run = bench.run("named", text=many[0], policy=CONTAINER, timeout=SLOW)
    assert run.outputs()[0] == "a.txt\n"


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
@pytest.mark.parametrize(
    ("task", "code", "told"),
    [
        ("fails", "ContainerFailed", "e.fails: its command ended with exit code 3; what it printed is in the output"),
        ("forgets", "OutputMissing", "output 'out': the command has to write it to /var/outputs/out, and did not"),
        ("wrong", "OutputUnreadable", r"output 'out': /var/outputs/out holds 'many\n'; accepted: int"),
        ("absent", "ContainerFailed", "has no program 'no-such-program'"),
    ],
)
def test_what_goes_wrong_is_one_clear_error(bench: Bench, task: str, code: str, told: str) -> None:
    run = bench.run(task, policy=CONTAINER, timeout=SLOW)
    assert run.error is not None
    assert run.error.code == code
    assert told in str(run.error)
    if task == "fails":
        assert "on its way" in bench.printed("stderr")


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
def test_a_cancelled_run_leaves_no_container(bench: Bench) -> None:
    async def cancelled() -> None:
        task = asyncio.ensure_future(bench.engine.run(bench.work("waits", policy=CONTAINER), bench.events.append))
        began = time.monotonic()
        while not containers():
            assert not task.done()
            assert time.monotonic() < began + SLOW - 30
            await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])

    bench.do(cancelled(), SLOW)
    assert soon(lambda: not containers(), 10)


MISSING = """
import flyte_nb as flyte
from flyte_nb.containers.task import carry_out
from flyte_nb.extras import ContainerTask
try:
    carry_out(ContainerTask("echo", "alpine:3", ["echo"]), {})
except flyte.errors.RuntimeUserError as error:
    print(error.code, error)
echoing = ContainerTask("echo", "alpine:3", ["echo"])
env = flyte.TaskEnvironment.from_task("shell", echoing)
print(*flyte.plan(env).notices, sep="\\n")
"""


def test_without_a_container_engine_a_plan_and_a_run_say_so(tmp_path: Path) -> None:
    done = ran([str(written(tmp_path / "script.py", MISSING))], tmp_path, PATH="/nowhere")
    told = "no container engine answers here (docker: not installed; podman: not installed)"
    assert f"ContainerEngineMissing echo: {told}; a command in a container needs one: install docker" in done.stdout, (
        done.stderr
    )
    assert f"shell: {told}: its commands cannot run on this machine" in done.stdout
    assert "not pulled" not in done.stdout


# --- words and files


def test_inputs_are_put_into_words() -> None:
    inputs: dict[str, Any] = {"x": 1, "flag": False, "text": "a b", "file": File(path="/a/b")}
    words = ["{{.inputs.x}}", "--{{ .inputs.text }}={{.inputs.flag}}", "/var/inputs/file", "{{other}}"]
    assert rendered(words, inputs, "/var/inputs") == ["1", "--a b=false", "/var/inputs/file", "{{other}}"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("{{.inputs.y}}", "{{.inputs.y}} in the command: no such input; there is x, f"),
        ("{{.inputs.f}}", "f is a file; write its path, /in/f"),
    ],
)
def test_words_that_cannot_be(word: str, told: str) -> None:
    with pytest.raises(RuntimeUserError) as caught:
        rendered([word], {"x": 1, "f": [File(path="/a/b")]}, "/in")
    assert told in str(caught.value)


def test_files_lie_by_number_or_by_name(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(folder)
    many = [File(path=str(tmp_path / folder / "a.txt")) for folder in ("one", "two")]
    inputs = {"f": many[0], "m": many, "d": Dir(path=str(tmp_path / "one")), "x": 1}
    plain = {there: Path(here) for here, there in mounts(inputs, "/in", "DIRECT", tmp_path / "plain")}
    assert list(plain) == ["/in/f", "/in/m", "/in/d"]
    assert plain["/in/f"].read_text() == "one"
    assert [(plain["/in/m"] / number).read_text() for number in ("0", "1")] == ["one", "two"]
    assert (plain["/in/d"] / "a.txt").read_text() == "one"
    named = {there: Path(here) for here, there in mounts(inputs, "/in", "NAMED_DIR", tmp_path / "named")}
    assert (named["/in/f"] / "a.txt").read_text() == "one"
    assert [(named["/in/m"] / name).read_text() for name in ("a.txt", "1_a.txt")] == ["one", "two"]
    assert all(tmp_path / "one" not in [here, *here.parents] for here in plain.values())  # copies, not the files


def test_outputs_are_read_by_their_types(tmp_path: Path) -> None:
    from datetime import date

    written = {"n": "3\n", "f": "0.5", "s": " a\n", "b": "false\n", "d": "2026-01-02"}
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    kinds = {"n": int, "f": float, "s": str, "b": bool, "d": date}
    assert read(kinds, tmp_path, "/out") == (3, 0.5, " a\n", False, date(2026, 1, 2))
    assert read({"n": int}, tmp_path, "/out") == 3
    assert read({}, tmp_path, "/out") is None


def test_an_image_that_has_to_be_built_is_refused() -> None:
    assert why_not(flyte.Image.from_base("alpine:3")) == ""
    assert "has to be built first" in why_not(
        flyte.Image.from_base("a:1").clone(name="b", extendable=True).with_pip_packages("x")
    )


def test_the_engine_knows_a_container_from_its_policy() -> None:
    policy = policy_of(ContainerTask("t", "alpine:3", ["a"]))
    assert (policy.container, policy.image) == (True, None)
    assert Policy.from_json(policy.to_json()) == policy


def test_engines_are_looked_for_in_order() -> None:
    assert NAMES == ("docker", "podman")


SCRIPT = f"""
import flyte_nb as flyte
from flyte_nb.extras import ContainerTask

counts = ContainerTask("counts", {IMAGE!r}, ["sh", "-c", "echo {{{{.inputs.word}}}} | wc -c > /var/outputs/n"],
                       {{"word": str}}, outputs={{"n": int}}, cache="auto")
shell = flyte.TaskEnvironment.from_task("shell", counts)
env = flyte.TaskEnvironment("env", depends_on=[shell])

@env.task
async def calls(word: str) -> int:
    return await counts(word=word) * 10

if __name__ == "__main__":
    print(flyte.run(calls, word="abc").outputs()[0])
    print(flyte.with_runcontext(engine="inline").run(counts, word="ab").outputs()[0])
    flyte.deploy(env)
    print(flyte.deployed("counts")(word="abcd"), flyte.deployed("env.calls")(word="abcde"))
"""


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
@pytest.mark.usefixtures("bench")
def test_a_task_calls_it_and_it_is_deployed(tmp_path: Path) -> None:
    done = ran([str(written(tmp_path / "script.py", SCRIPT))], tmp_path, SLOW)
    assert done.stdout.splitlines()[-3:] == ["40", "3", "5 60"], done.stderr


@pytest.mark.slow
@pytest.mark.timeout(SLOW)
@pytest.mark.usefixtures("bench")
def test_in_a_notebook(kernel: Kernel) -> None:
    body, _, calls = SCRIPT.partition('if __name__ == "__main__":')
    kernel.run(body)
    printed = kernel.run("\n".join(line.strip() for line in calls.strip().splitlines())).printed.splitlines()
    assert [line for line in printed if line in ("40", "3", "5 60")] == ["40", "3", "5 60"], printed


def test_an_edited_command_is_another_one_for_the_cache() -> None:
    session = current_session()
    first, same, other = (ContainerTask("t", "a:1", ["echo", word]) for word in ("a", "a", "b"))
    assert session.shipping._code(first) == session.shipping._code(same) != session.shipping._code(other)
