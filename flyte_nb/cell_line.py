"""The first line of a ``%%flyte`` cell: sugar, rewritten into the Python that declares the environment.

The Python stands on the magic's own line, so that the cell is an ordinary one: it may await, its line numbers hold, its
module can be read.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from flyte_nb.commands import HelpAsked, Parser, key_values
from flyte_nb.errors import FlyteError, UsageError
from flyte_nb.notebook.shell import MAGIC

__all__ = ["cell_parser", "declaration", "environment_options", "rewrite"]

#: the options of an environment that have one value, and what the help says of them
_SINGLE = {
    "cpu": "cores, such as 2 or 500m",
    "memory": "such as 4Gi",
    "gpu": "a count, or DEVICE:COUNT",
    "disk": "such as 10Gi",
    "image": "a URI",
    "description": "a sentence",
    "cache": "disable, auto or override",
    "replicas": "warm processes: a number, or MIN:MAX",
    "concurrency": "calls that an async task's warm process takes at once",
}
#: those that may be given again: what the help writes for a value, and says of it
_AGAIN = {
    "env": ("NAME=VALUE", "a variable of the task's process"),
    "secret": ("KEY", "the key of a secret"),
    "include": ("PATH", "a file, folder or pattern that travels with the code"),
    "depends-on": ("NAME", "the name of another environment"),
}


def environment_options(parser: Parser, again: str, **words: str) -> None:
    """Add the options that state the settings of an environment.

    Parameters
    ----------
    again : str
        What becomes of those that may be given again.
    **words : str
        What the help says of options, where that is something else.
    """
    for option, told in {**_SINGLE, **words}.items():
        parser.add_argument(f"--{option}", help=told)
    for option, (metavar, told) in _AGAIN.items():
        parser.add_argument(f"--{option}", action="append", default=[], help=f"{told}; {again}", metavar=metavar)
    parser.add_argument("--interruptible", action="store_true", help="may run on machines that can be taken away")


def cell_parser() -> Parser:
    """Give the parser of the line of a ``%%flyte`` cell."""
    parser = Parser(prog="%%flyte", description="Declare an environment for the cell.")
    parser.add_argument("name", nargs="?", help="the environment's name; without one the cell runs as it stands")
    environment_options(parser, "may be given again")
    return parser


def declaration(line: str) -> str:
    """Give the Python, on one line, that the line of a ``%%flyte`` cell stands for; empty without a name.

    Raises
    ------
    UsageError
        For an unknown option, with the nearest one, and for options without a name.
    """
    options = cell_parser().parse_args(shlex.split(line))
    settings = _settings(options)
    if options.name is None:
        if settings:
            raise UsageError("%%flyte: options need the name of an environment: %%flyte NAME [options]")
        return ""
    arguments = ", ".join([repr(options.name), *settings])
    return f"import flyte_nb as _flyte; env = _flyte.TaskEnvironment({arguments}); task = env.task"


def _settings(options: Any) -> list[str]:
    resources = {k: v for k in ("cpu", "memory", "gpu", "disk") if (v := getattr(options, k)) is not None}
    settings = []
    if resources:
        inner = ", ".join(f"{key}={_number(value)!r}" for key, value in resources.items())
        settings.append(f"resources=_flyte.Resources({inner})")
    plain = {k: v for k in ("image", "description", "cache") if (v := getattr(options, k)) is not None}
    plain |= {"env_vars": key_values(options.env, "--env NAME=VALUE")} if options.env else {}
    plain |= {"secrets": options.secret} if options.secret else {}
    plain |= {"include": tuple(options.include)} if options.include else {}
    plain |= {"interruptible": True} if options.interruptible else {}
    settings += [f"{key}={value!r}" for key, value in plain.items()]
    if options.replicas or options.concurrency:
        settings.append(f"reusable=_flyte.ReusePolicy({_reuse(options)})")
    if options.depends_on:
        needed = ", ".join(f"_flyte.current_registry().find({name!r})" for name in options.depends_on)
        settings.append(f"depends_on=[{needed}]")
    return settings


def _reuse(options: Any) -> str:
    """Give the arguments of the reuse policy that ``--replicas`` and ``--concurrency`` ask for."""
    given = {"replicas": options.replicas, "concurrency": options.concurrency}
    values = {name: tuple(map(_number, text.split(":"))) for name, text in given.items() if text}
    return ", ".join(f"{name}={value[0] if len(value) == 1 else value!r}" for name, value in values.items())


def _number(text: str) -> int | str:
    return int(text) if re.fullmatch(r"\d+", text) else text


def rewrite(lines: list[str]) -> list[str]:
    """Rewrite a ``%%flyte`` cell into plain Python; an input transformer of IPython's."""
    if not lines or not re.match(rf"{MAGIC}(\s|$)", lines[0]):
        return lines
    try:
        first = declaration(lines[0][len(MAGIC) :].strip())
    except HelpAsked:
        return ["get_ipython().run_line_magic('flyte', 'help cell')\n"]
    except (FlyteError, ValueError) as error:
        first = f"raise __import__('flyte_nb').errors.UsageError({str(error)!r})"
    return [f"{first}\n", *lines[1:]]
