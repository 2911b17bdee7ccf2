"""The magics: parse a line, ask the session, show the answer.

``%%flyte NAME --cpu 2`` is sugar: it is rewritten into the Python that declares the environment, on the magic's line,
so that the cell is an ordinary cell: it may await, its line numbers hold, its module can be read.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import display

from flyte_nb import run_commands, serve_commands
from flyte_nb.changes import Changes
from flyte_nb.commands import HelpAsked, Parser, choose, export_options, key_values
from flyte_nb.engine.base import Deployments, Run
from flyte_nb.environments.base import Environment
from flyte_nb.errors import FlyteError, UsageError
from flyte_nb.notebook.shell import MAGIC, Running
from flyte_nb.notebook.staleness import Stale
from flyte_nb.registry import Registry
from flyte_nb.secret_commands import secret_command
from flyte_nb.session import Session, current_session
from flyte_nb.verbs import deploy, export
from flyte_nb.views import Stack, Table, Text, View
from flyte_nb.widgets import environments as cards
from flyte_nb.widgets import runs as run_views
from flyte_nb.widgets.live import in_notebook

__all__ = ["FlyteMagics", "declaration", "load"]

WELCOME = "flyte_nb is ready: declare an environment with  %%flyte my-env --cpu 1   or type  %flyte help"
HELP = (
    (
        "%%flyte [NAME] [options]",
        "a cell that declares; with NAME, an environment bound as env (and task = env.task)",
    ),
    ("%flyte list", "the environments declared here"),
    ("%flyte show NAME", "one environment, with its settings and tasks"),
    (
        "%flyte deploy [NAME ..] [--dry-run] [--version V]",
        "deploy to this machine's store; all of them without a name",
    ),
    (
        "%flyte export PATH [NAME ..] [--for flyte] [--with-data] [--marks]",
        "write the definitions as a module to commit; --for flyte imports the SDK",
    ),
    *run_commands.HELP,
    *serve_commands.HELP,
    ("%flyte secret [set KEY | list | unset KEY]", "the values of secrets in this session; asked for, never shown"),
    ("%flyte notebook [PATH]", "where this notebook is, which relative paths in include mean; or state it"),
    ("%flyte help [VERB]", "this page, or the options of one verb"),
)


def cell_parser() -> Parser:
    """Give the parser of the line of a ``%%flyte`` cell."""
    parser = Parser(prog="%%flyte", add_help=False, description="Declare an environment for the cell.")
    parser.add_argument("name", nargs="?", help="the environment's name; without one the cell runs as it stands")
    for option, words in {
        "cpu": "cores, such as 2 or 500m",
        "memory": "such as 4Gi",
        "gpu": "a count, or DEVICE:COUNT",
        "disk": "such as 10Gi",
        "image": "a URI",
        "description": "a sentence",
        "cache": "disable, auto or override",
        "replicas": "warm processes: a number, or MIN:MAX",
        "concurrency": "calls that an async task's warm process takes at once",
    }.items():
        parser.add_argument(f"--{option}", help=words)
    for option, words in {
        "env": "NAME=VALUE, a variable of the task's process",
        "secret": "the key of a secret",
        "include": "a file that travels with the code",
        "depends-on": "the name of another environment",
    }.items():
        parser.add_argument(f"--{option}", action="append", default=[], help=words)
    parser.add_argument("--interruptible", action="store_true", help="may run on machines that can be taken away")
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
    except (FlyteError, ValueError) as error:
        first = f"raise __import__('flyte_nb').errors.UsageError({str(error)!r})"
    return [f"{first}\n", *lines[1:]]


_COMMANDS: dict[str, Callable[[list[str], Session], View]] = {
    "run": run_commands.run_task,
    "rerun": run_commands.rerun_task,
    "runs": run_commands.runs,
    "cache": run_commands.cache,
    "images": run_commands.images,
    "serve": serve_commands.serve_app,
    "stop": serve_commands.stop_app,
    "apps": serve_commands.list_apps,
    "logs": serve_commands.logs,
}


@magics_class
class FlyteMagics(Magics):
    """``%flyte`` and ``%%flyte``."""

    def __init__(self, shell: Any, session: Session) -> None:
        super().__init__(shell)
        self._shell, self._session = shell, session
        self._verbs: dict[str, Callable[[list[str]], View | None]] = {
            "list": self._list,
            "show": self._show,
            **{name: functools.partial(self._with_session, command) for name, command in _COMMANDS.items()},
            "deploy": self._deploy,
            "export": self._export,
            "secret": self._secret,
            "notebook": self._notebook,
            "help": self._help,
        }

    @line_cell_magic
    def flyte(self, line: str, cell: str | None = None) -> View | None:
        """Environments, tasks and deployments: type ``%flyte help``."""
        if cell is not None:  # reached only by code that calls the magic itself; cells are rewritten before they run
            self._shell.run_cell(f"{MAGIC} {line}\n{cell}")
            return None
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"%flyte: {str(error).lower()} in {line!r}") from None
        return self._answer(*choose("%flyte", words, list(self._verbs)))

    def _answer(self, verb: str, words: list[str]) -> View | None:
        try:
            return self._verbs[verb](words)
        except HelpAsked as asked:
            return Stack([_help_rows(verb), *([_options(asked.parser)] if asked.parser.rows() else [])])

    def _list(self, words: list[str]) -> View:
        _parser("list").parse_args(words)
        registry = self._session.registry
        return cards.environments(registry, {env.name: state(self._session, env) for env in registry.values()})

    def _show(self, words: list[str]) -> View:
        parser = _parser("show")
        parser.add_argument("name", help="the name of an environment")
        name = parser.parse_args(words).name
        return card(self._session, self._session.registry.find(name))

    def _deploy(self, words: list[str]) -> View:
        parser = _parser("deploy")
        parser.add_argument("names", nargs="*", metavar="NAME", help="what to deploy; everything declared by default")
        parser.add_argument("--dry-run", action="store_true", help="say what would be deployed, and which files")
        parser.add_argument("--version", help="in place of the one made from the content")
        parser.add_argument("--engine", default="local", help="where to: local, the store of this machine")
        options = parser.parse_args(words)
        registry = self._session.registry
        wanted = [registry.find(name) for name in options.names] or list(registry.values())
        made = deploy(*wanted, dry_run=options.dry_run, version=options.version, engine=options.engine)
        return run_views.deployments(made, options.dry_run)

    def _export(self, words: list[str]) -> View:
        parser = _parser("export")
        parser.add_argument("path", type=Path, help="the module to write")
        parser.add_argument("names", nargs="*", metavar="NAME", help="the environments; all of them by default")
        export_options(parser)
        options = parser.parse_args(words)
        wanted = [self._session.registry.find(name) for name in options.names]
        path = export(options.path, *wanted, for_=options.target, with_data=options.with_data, marks=options.marks)
        return Text(f"wrote {path}")

    def _with_session(self, command: Callable[[list[str], Session], View], words: list[str]) -> View:
        return command(words, self._session)

    def _secret(self, words: list[str]) -> View:
        return secret_command(words, self._session.secrets)

    def _notebook(self, words: list[str]) -> View:
        parser = _parser("notebook")
        parser.add_argument("path", nargs="?", type=Path, help="the notebook, or the folder that it lies in")
        path = parser.parse_args(words).path
        location = self._session.workbook.location if path is None else self._session.workbook.state_location(path)
        return Text(f"the notebook is {location}" if location.file else f"the notebook lies in {location}")

    def _help(self, words: list[str]) -> View:
        if not words or words == ["help"]:
            return Stack([Table(("type", "to"), HELP), _options(cell_parser())])
        verb, _ = choose("%flyte help", words, [*self._verbs, "cell"])
        if verb == "cell":
            return _options(cell_parser())
        if verb in _WITH_VERBS:
            return _help_rows(verb)
        return self._answer(verb, ["--help"]) or _help_rows(verb)


#: those whose first word is a verb of their own
_WITH_VERBS = ("cache", "images", "secret")


def _help_rows(verb: str) -> Table:
    return Table(("type", "to"), [row for row in HELP if row[0].split()[1] == verb])


def _options(parser: Parser) -> Table:
    """Show what a line may hold."""
    return Table((parser.prog, "what it is"), parser.rows())


def _parser(verb: str) -> Parser:
    return Parser(prog=f"%flyte {verb}", add_help=False)


def show_changes(changes: Changes, running: Running) -> None:
    """Show what a cell changed: all of it under ``%%flyte``, only what needs notice under a plain cell."""
    if running.asks and (changes or changes.same):
        display(cards.changes(changes))
    elif changes.notices:
        display(cards.changes(Changes(notices=changes.notices), cards=False))


def state(session: Session, env: Environment) -> list[str]:
    """Say what is known of an environment beyond its declaration: the version deployed, and what is out of date."""
    version = session.store.current().get(env.name)
    stale = outdated(session, env)
    more = f" and {len(stale) - 2} more" if len(stale) > 2 else ""
    told = [f"out of date: {'; '.join(stale[:2])}{more}"] if stale else []
    return [*([f"deployed at {version}"] if version else []), *told]


def outdated(session: Session, env: Environment) -> list[str]:
    """Say what makes an environment's runs or its deployment out of date; a view never fails for it."""
    try:
        stale = session.shipping.outdated(env)
    except FlyteError as error:
        return [str(error)]
    since: dict[Stale, list[str]] = {}
    for one in stale:
        since.setdefault(dataclasses.replace(one, since=""), []).append(one.since)
    return [str(dataclasses.replace(one, since=" and ".join(told))) for one, told in since.items()]


def card(session: Session, env: Environment) -> View:
    """Show an environment as a card, with its state."""
    version = session.store.current().get(env.name)
    return cards.environment(env, [f"deployed at {version}"] if version else [], outdated(session, env))


def show_as_cards(shell: Any, session: Session) -> None:
    """Let environments, runs and deployments appear as cards where a cell ends with one."""
    views: dict[type, Callable[[Any], View]] = {
        Environment: lambda env: card(session, env),
        Run: run_views.run,
        Deployments: run_views.deployments,
        Registry: lambda registry: cards.environments(registry, {e.name: state(session, e) for e in registry.values()}),
    }
    formatter = shell.display_formatter
    for kind, view in views.items():  # as bundles: a printer of text would give way to the __repr__ of a subclass
        formatter.mimebundle_formatter.for_type(kind, lambda value, view=view: view(value)._repr_mimebundle_())
    text = formatter.formatters["text/plain"]  # it knows lists, and so does not ask for the bundle of one
    text.for_type(Deployments, lambda value, p, cycle: p.text(run_views.deployments(value).text()))


def load(shell: Any) -> None:
    """Add the magics to a shell and watch its cells; loading twice changes nothing."""
    session = current_session(shell)
    transformers = shell.input_transformer_manager.cleanup_transforms
    first_time = rewrite not in transformers
    if first_time:
        transformers.append(rewrite)
    session.show_changes = show_changes
    if hasattr(shell, "kernel"):  # a terminal would print the line again for each change of it
        session.show_run = in_notebook
    shell.register_magics(FlyteMagics(shell, session))
    show_as_cards(shell, session)
    if first_time:
        print(WELCOME)
