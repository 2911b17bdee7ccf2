"""``flyte-nb call``: a deployed task, called with words."""

from __future__ import annotations

from flyte_nb.commands import HELP_WORDS, Parser
from flyte_nb.deployed_tasks import call_deployed, deployed
from flyte_nb.errors import UsageError
from flyte_nb.session import current_session
from flyte_nb.widgets.deployments import task_card

__all__ = ["call"]

HELP = HELP_WORDS[0]


def call(words: list[str]) -> int:
    """Call a deployed task and print what it returns."""
    parser = Parser(prog="flyte-nb call")
    parser.add_argument("task", metavar="ENV.TASK", help="a deployed task; --help after it tells its inputs")
    parser.add_argument("--version", metavar="V", help="the current one by default")
    parser.add_argument("--INPUT", metavar="VALUE", help="an input of the task, by its name")
    if not words:
        raise UsageError("flyte-nb call: name a task: flyte-nb call ENV.TASK [--version V] [--INPUT VALUE]..")
    own, rest = _own_options(words)
    wants_help = len(own) > 1 and HELP in own
    options = parser.parse_args([word for word in own if word != HELP] if wants_help else own)
    task = deployed(options.task, options.version)
    if wants_help:
        inputs = [{**one, "name": f"--{one['name']}"} for one in task.inputs]
        print(task_card(task.name, task.version, task.description, inputs, task.returns).text())
        return 0
    try:
        work = task.work((), _inputs(rest), texts=True)
    except ValueError as error:
        raise UsageError(f"{task.name}: {error}") from None
    current_session().fills_pools = False  # one call needs one worker, however many the environment keeps warm
    outputs = call_deployed(work, task.engine).outputs()
    for value in outputs:
        print(value)
    return 0


def _own_options(words: list[str]) -> tuple[list[str], list[str]]:
    """Part the command's own words from the task's inputs."""
    own, rest, words = words[:1], [], words[1:]
    while words:
        word = words.pop(0)
        if word in HELP_WORDS:
            own.append(HELP)
        elif word == "--version" and words:
            own += [word, words.pop(0)]
        elif word.startswith("--version="):
            own.append(word)
        else:
            rest.append(word)
    return own, rest


def _inputs(words: list[str]) -> dict[str, str]:
    """Read ``--name value`` and ``--name=value``."""
    inputs: dict[str, str] = {}
    words = list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--") or word == "--":
            raise UsageError(f"flyte-nb call: given {word!r}; accepted: --INPUT VALUE")
        name, equals, value = word[2:].partition("=")
        if not equals:
            if not words:
                raise UsageError(f"flyte-nb call: --{name} needs a value")
            value = words.pop(0)
        if name.replace("-", "_") in inputs:
            raise UsageError(f"flyte-nb call: --{name} is given twice")
        inputs[name.replace("-", "_")] = value
    return inputs
