"""``%flyte clone``: what a clone of an environment would be, the code that makes it, and the clone itself."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from flyte_nb.cell_line import environment_options
from flyte_nb.clone_options import overrides, texts
from flyte_nb.clone_panels import INPUTS, Base, clone_panel
from flyte_nb.cloning import ClonePreview
from flyte_nb.commands import Command, Parser
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import looks_secret
from flyte_nb.errors import DeclarationError, FlyteError
from flyte_nb.session import Session
from flyte_nb.views import View
from flyte_nb.widgets.clone_panel import Asked
from flyte_nb.widgets.interactive import has_widgets

__all__ = ["COMMANDS"]


def _clone(words: list[str], session: Session) -> View:
    """Show what a clone would be; offer the code that makes it, or declare it."""
    parser = _parser()
    options = parser.parse_args(words)
    source = session.registry.find(options.source)
    preview = _preview(options, source, session)
    if options.apply:
        return preview.view(declared=str(preview.apply_here().place))
    if not preview.errors:
        preview.offer()
    return _panel(options, source, session) if has_widgets() else preview.view()


def _panel(options: Any, source: Environment, session: Session) -> View:
    """Give the panel of a clone: what can be typed there is in its inputs, all else is as the line gives it."""
    typed = {name: text for name, text in texts(options).items() if name in INPUTS}
    rest = Namespace(**{**vars(options), **dict.fromkeys(typed)})
    rest.env = [word for word in options.env if looks_secret(*word.partition("=")[::2])]
    preview = _preview(rest, source, session)
    reset = tuple(name for name in options.reset if name not in preview.overrides)
    return clone_panel(session, source, Asked(options.name, typed, reset), Base(preview.overrides, preview.reset))


def _preview(options: Any, source: Environment, session: Session) -> ClonePreview:
    """Give the preview that the options ask for; a value that cannot be made is refused in its row."""
    given: dict[str, Any] = {}
    refused: dict[str, FlyteError] = {}
    for field, make in overrides(options, source, session.registry).items():
        try:
            given[field] = make()
        except DeclarationError as error:
            refused[field] = error
    reset = tuple(field for field in options.reset if field not in {**given, **refused})
    return ClonePreview(source, options.name, given, reset, refused)


def _parser() -> Parser:
    parser = Parser(prog="%flyte clone")
    parser.add_argument("source", metavar="SRC", help="the name of the environment that is cloned")
    parser.add_argument("name", metavar="DST", help="the name of the clone")
    environment_options(
        parser,
        "added to those that are inherited",
        replicas="warm processes or an app's replicas: a number, or MIN:MAX",
        concurrency="calls that one of them takes at once",
    )
    parser.add_argument("--reset", action="append", default=[], metavar="FIELD",
                        help="a field that goes back to its default before anything is added to it")  # fmt: skip
    parser.add_argument("--apply", action="store_true", help="declare the clone now")
    return parser


COMMANDS = (
    Command(
        "%flyte clone SRC DST [--gpu 1 --memory 16Gi ..] [--reset FIELD] [--apply]",
        "what a clone would be, with the code that makes it in a new cell; --apply declares it",
        _clone,
        ("%flyte clone my-env gpu-env --gpu 1 --memory 16Gi", "%flyte clone my-env plain --reset env_vars --apply"),
    ),
)
