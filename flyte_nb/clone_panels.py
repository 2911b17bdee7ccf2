"""Panels of clones: a clone as what one reads, fills in and applies, in a front end with widgets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flyte_nb.changes import Changes
from flyte_nb.clone_options import field_of, namespace, overrides
from flyte_nb.cloning import ClonePreview
from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import looks_secret, mask, set_fields
from flyte_nb.environments.place import Place
from flyte_nb.errors import FlyteError, UsageError
from flyte_nb.session import Session
from flyte_nb.widgets.clone_panel import Asked, CloneActions, ClonePanel, Input, Previewed

__all__ = ["INPUTS", "Base", "clone_panel", "panel_of"]

#: what can be typed in the panel: the options of ``%flyte clone``, what they are called there, and a hint
INPUTS = {
    "cpu": ("CPU", "cores, such as 2 or 500m"),
    "memory": ("memory", "such as 4Gi"),
    "gpu": ("GPU", "a count, or DEVICE:COUNT"),
    "disk": ("disk", "such as 10Gi"),
    "image": ("image", "a URI"),
    "replicas": ("replicas", "a number, or MIN:MAX"),
    "env": ("variables", "added: NAME=VALUE NAME=VALUE"),
}


@dataclass(frozen=True)
class Base:
    """What a clone is given in code, before anything is typed."""

    overrides: Mapping[str, Any] = field(default_factory=dict)
    reset: tuple[str, ...] = ()
    former: Environment | None = None


def panel_of(session: Session, preview: ClonePreview) -> ClonePanel:
    """Give the panel of a preview that was made in code."""
    base = Base(
        {name: value for name, value in preview.overrides.items() if value is not None}, preview.reset, preview.former
    )
    return clone_panel(session, preview.source, Asked(preview.name, {}, preview.reset), base)


def clone_panel(session: Session, source: Environment, asked: Asked, base: Base | None = None) -> ClonePanel:
    """Give the panel of a clone.

    Parameters
    ----------
    session : Session
        Where it is declared.
    source : Environment
        What is cloned: its newest declaration.
    asked : Asked
        What is asked for at first.
    base : Base, optional
        What it is given in code.
    """
    base = base or Base()
    resettable = [name for name, _ in set_fields(source) if name not in ("name", "description")]
    resettable += [name for name in asked.reset if name not in resettable and hasattr(source, name)]
    actions = CloneActions(
        partial(_preview, session, source, base),
        partial(_apply, session),
        partial(_files, session),
        partial(_observe, session),
        _editor(session),
    )
    return ClonePanel(source.name, asked, _inputs(source, base), resettable, actions)


def _inputs(source: Environment, base: Base) -> list[Input]:
    """Give what can be typed for an environment, with what it has without that."""
    found = []
    for key, (label, hint) in INPUTS.items():
        name = field_of(key, source)
        if not hasattr(source, name):
            continue
        whole = base.overrides.get(name, getattr(source, name))
        value = getattr(whole, key, None) if name == "resources" else whole if key == "image" else None
        held = mask(key, value)
        held = value if isinstance(value, str) and held == repr(value) else held
        told = f"{held}, {'given in code' if name in base.overrides else 'inherited'}" if value else hint
        found.append(Input(key, name, label, told, f"%flyte clone … --{key}: {hint}"))
    return found


def _preview(session: Session, source: Environment, base: Base, asked: Asked) -> ClonePreview:
    """Give the clone that is asked for; what cannot be made of what was typed is refused in its field."""
    newest = session.registry.newest(source)
    source = newest if type(newest) is type(source) else source  # as the function has it
    given = {name: value for name, value in base.overrides.items() if name not in asked.reset}
    refused: dict[str, FlyteError] = {}
    made = {}
    for key, text in asked.texts.items():  # each by itself, so that a quote that is left open is told at its input
        try:
            made[key] = namespace({key: text}, asked.reset)
        except UsageError as error:
            refused[field_of(key, source)] = error
    options = namespace({key: asked.texts[key] for key in made}, asked.reset)
    for name, make in overrides(options, source, session.registry, given).items():
        try:
            given[name] = make()
        except FlyteError as error:
            refused[name] = error
        except ValueError as error:
            refused[name] = UsageError(str(error))
    reset = tuple(name for name in asked.reset if name not in {**given, **refused})
    return ClonePreview(source, asked.name, given, reset, refused, base.former)


def _apply(session: Session, preview: Previewed) -> str:
    """Declare a clone: as a cell of its own, so that what uses it finds its definition.

    Raises
    ------
    UsageError
        For a value that cannot be written as code, and while a cell runs.
    """
    assert isinstance(preview, ClonePreview)
    for name, value in (preview.overrides.get("env_vars") or {}).items():
        if looks_secret(name, value) and name not in os.environ:  # its code reads it there
            raise UsageError(
                f"{name!r} looks like a secret, which no code holds; accepted: secrets=[flyte.Secret({name!r})], "
                f"or {name} in the environment of this process"
            )
    if not session.workbook.run_as_cell(preview.code()):
        raise UsageError("a cell runs: apply the clone when it is done")
    return str(session.registry.find(preview.name).place)


def _files(session: Session, preview: Previewed) -> Sequence[tuple[str, int, str]]:
    assert isinstance(preview, ClonePreview)
    if preview.clone is None:
        return []
    preview.clone.place = Place("<cell>", 1, in_cell=True)  # where it would be declared: beside the notebook
    return [(file.path, file.size, file.why) for file in session.shipping.includes(preview.clone)]


def _observe(session: Session, heard: Callable[[], object]) -> Callable[[], None]:
    """Have something called when what is declared changes."""

    def changed(changes: Changes) -> None:
        heard()

    return session.registry.observe(changed)


def _editor(session: Session) -> Callable[[str], Any] | None:
    """Give what opens the editor of an environment, where there is one."""
    import flyte_nb

    edit = getattr(flyte_nb, "edit", None)
    return None if edit is None else lambda name: edit(session.registry.find(name))
