"""The rows of ``%flyte serve``, ``stop``, ``apps`` and ``logs``; what carries them out is loaded with the first one."""

from __future__ import annotations

from importlib import import_module

from flyte_nb.commands import Command
from flyte_nb.session import Session
from flyte_nb.views import View

__all__ = ["COMMANDS"]


def _serve(words: list[str], session: Session) -> View:
    return _carry_out("serve_app", words, session)


def _stop(words: list[str], session: Session) -> View:
    return _carry_out("stop_app", words, session)


def _apps(words: list[str], session: Session) -> View:
    return _carry_out("list_apps", words, session)


def _logs(words: list[str], session: Session) -> View:
    return _carry_out("logs", words, session)


def _carry_out(verb: str, words: list[str], session: Session) -> View:
    view: View = getattr(import_module("flyte_nb.serve_commands"), verb)(words, session)
    return view


COMMANDS = (
    Command(
        "%flyte serve NAME [--engine local|cluster] [--port P] [--env K=V] [--parameter K=V] [--text]",
        "serve an app on this machine, or at the cluster, and show how it does",
        _serve,
        (
            "%flyte serve my-app",
            "%flyte serve my-app --port 8000 --env MODE=fast",
            "%flyte serve my-app --engine cluster",
        ),
    ),
    Command(
        "%flyte stop NAME [--engine local|cluster] | --all",
        "stop a served app, or all of this machine",
        _stop,
        ("%flyte stop my-app", "%flyte stop --all"),
    ),
    Command(
        "%flyte apps [--engine local|cluster]",
        "the apps that are served, by other kernels too; or those that the cluster has",
        _apps,
        ("%flyte apps", "%flyte apps --engine cluster"),
    ),
    Command(
        "%flyte logs RUN|APP [--action ID] [--last N] [--engine local|cluster]",
        "what a run printed, or one action of it; the last lines of an app's replicas",
        _logs,
        ("%flyte logs first", "%flyte logs first --action a1", "%flyte logs my-app --last 20"),
    ),
)
