"""Rewriting: the call that declared an environment, found in its source and given the values of a draft."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from flyte_nb.environments.base import Environment
from flyte_nb.environments.declaration import Declaration, same
from flyte_nb.environments.image import Image
from flyte_nb.errors import UsageError
from flyte_nb.notebook.call_editor import MISSING, CallEditor, DictEditor, Key, cannot, resolved
from flyte_nb.notebook.series import Source
from flyte_nb.notebook.spelling import Spelling, shortest

__all__ = ["RESET", "Edit", "edited", "locate"]

#: given in the place of a value: the field went back to its default
RESET: Any = MISSING


class Edit(NamedTuple):
    """A field that has another value.

    Parameters
    ----------
    field : str
        The field.
    before, after : object
        Its values, as the declaration keeps them.
    given : object
        The value as a person gave it.
    """

    field: str
    before: Any
    after: Any
    given: Any


# --- finding the call ---


def locate(text: str, line: int, env: Environment, names: Mapping[str, Any]) -> tuple[CallEditor, bool]:
    """Find the call that declared an environment.

    Parameters
    ----------
    text : str
        The source.
    line : int
        The line that made the declaration.
    env : Environment
        What it declared.
    names : mapping
        The names that the source has.

    Returns
    -------
    editor : CallEditor
        The call.
    is_clone : bool
        Whether it is a ``clone_with``.

    Raises
    ------
    UsageError
        With the reason, when there is no such call, or it stands where it may declare others, too.
    """
    try:
        tree = Source(text).tree
    except SyntaxError as error:
        raise cannot(f"the source is no Python any more: {error.msg}, line {error.lineno}") from None
    found = [(call, kind, around) for call, around in _calls(tree, line) if (kind := _kind(call, env, names))]
    named = [entry for entry in found if _name_given(entry[0], names) == env.name]
    found = named or [entry for entry in found if _name_given(entry[0], names) is MISSING]
    if not found:
        raise cannot(f"no call on line {line} is known to declare {env.name!r}; was the source changed since it ran?")
    if len({Key.of(call) for call, _, _ in found}) > 1:
        raise cannot(f"line {line} has several calls that may declare {env.name!r}")
    call, kind, around = found[0]
    if reason := next(filter(None, map(_shared, around)), None):
        raise cannot(f"{env.name!r} is declared {reason}")
    return CallEditor(text, call, names), kind == "clone"


def _calls(
    tree: ast.AST, line: int, around: tuple[ast.AST, ...] = ()
) -> Iterator[tuple[ast.Call, tuple[ast.AST, ...]]]:
    """Give the calls that cover a line, each with what it stands in."""
    for child in ast.iter_child_nodes(tree):
        within = around if child in getattr(tree, "decorator_list", ()) else (*around, tree)
        if isinstance(child, ast.Call) and child.lineno <= line <= (child.end_lineno or child.lineno):
            yield child, within
        yield from _calls(child, line, within)


def _kind(call: ast.Call, env: Environment, names: Mapping[str, Any]) -> str | None:
    if isinstance(call.func, ast.Attribute) and call.func.attr == "clone_with":
        return "clone"
    made = resolved(call.func, names)
    if made is type(env):
        return "constructor"
    written = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return "constructor" if written == type(env).__name__ and (made is MISSING or _older(made, env)) else None


def _older(made: Any, env: Environment) -> bool:
    """Tell whether a class is an earlier or later definition of an environment's own."""
    return isinstance(made, type) and made.__qualname__ == type(env).__qualname__


def _name_given(call: ast.Call, names: Mapping[str, Any]) -> Any:
    """Give the name that a call gives to the environment, where it is written out."""
    given = [word.value for word in call.keywords if word.arg == "name"] or call.args[:1]
    value = given[0] if given else None
    return value.value if isinstance(value, ast.Constant) else MISSING


def _shared(node: ast.AST) -> str | None:
    """Say what lets one call declare several environments."""
    if isinstance(node, ast.For | ast.AsyncFor | ast.While):
        return f"in a loop, on line {node.lineno}, which may declare others with the same call"
    if isinstance(node, ast.comprehension | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return "in a comprehension, which may declare others with the same call"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return f"by the function {node.name}(), which may declare others with the same call"
    if isinstance(node, ast.Lambda):
        return "by a lambda, which may declare others with the same call"
    return None


# --- editing it ---


def edited(editor: CallEditor, env: Environment, edits: list[Edit], is_clone: bool, spelling: Spelling) -> str:
    """Give the source with a declaring call edited.

    Raises
    ------
    UsageError
        With the reason, when a field cannot be changed there.
    """
    made = env.clone_with if is_clone else type(env)
    parameters = _positional(made)
    defaults = {f.name: _default(f) for f in dataclasses.fields(env) if f.init}
    at_default = {edit.field: same(edit.after, defaults[edit.field]) for edit in edits}
    for edit in sorted(edits, key=lambda edit: at_default[edit.field]):  # what is added takes the layout of what goes
        if is_clone:
            _edit_clone(editor, edit, parameters, at_default[edit.field], spelling)
        elif at_default[edit.field]:
            _drop(editor, edit.field, parameters)
        else:
            _put(editor, edit, parameters, spelling)
    ast.parse(editor.text)
    return editor.text


def _positional(made: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, p in inspect.signature(made).parameters.items() if p.kind in kinds]


def _default(declared: dataclasses.Field[Any]) -> Any:
    return declared.default_factory() if callable(declared.default_factory) else declared.default


def _edit_clone(editor: CallEditor, edit: Edit, parameters: list[str], at_default: bool, spelling: Spelling) -> None:
    cleared = _cleared(editor)
    if edit.after is None and not at_default:
        raise cannot(f"clone_with({edit.field}=None) keeps the value")
    if at_default and (edit.after is None or edit.given is RESET):
        _drop(editor, edit.field, parameters)
        _reset(editor, [*cleared, *([] if edit.field in cleared else [edit.field])], spelling)
        return
    if edit.field in cleared:
        _reset(editor, [name for name in cleared if name != edit.field], spelling)
    _put(editor, edit, parameters, spelling)


def _cleared(editor: CallEditor) -> list[str]:
    index = editor.find("reset", [])
    if index is None:
        return []
    node = editor.value(index)
    try:
        value = ast.literal_eval(node)
    except ValueError:
        raise cannot(f"reset={editor.source_of(node)} is not written out") from None
    return [value] if isinstance(value, str) else list(value)


def _reset(editor: CallEditor, fields: list[str], spelling: Spelling) -> None:
    index = editor.find("reset", [])
    text = spelling.value(tuple(fields))
    if index is None and fields:
        editor.add("reset", text)
    elif index is not None and fields:
        editor.replace(index, text)
    elif index is not None:
        editor.remove(index)


def _drop(editor: CallEditor, field: str, parameters: list[str]) -> None:
    index = editor.find(field, parameters)
    if index is not None:
        editor.remove(index)


def _put(editor: CallEditor, edit: Edit, parameters: list[str], spelling: Spelling) -> None:
    index = editor.find(edit.field, parameters)
    if index is None:
        editor.add(edit.field, spelling.value(edit.given))
        return
    node = editor.value(index)
    node = node.value if isinstance(node, ast.NamedExpr) else node
    if _put_within(editor, node, edit, spelling):
        return
    if isinstance(editor.value(index), ast.NamedExpr):
        raise cannot(f"{edit.field}={editor.source_of(editor.value(index))} binds a variable, too")
    if not isinstance(node, ast.Constant | ast.Call | ast.Dict | ast.List | ast.Tuple | ast.Set | ast.UnaryOp):
        spelling.notices.append(
            f"{edit.field}={editor.source_of(node)} is replaced by its new value; "
            f"{editor.source_of(node)} itself stays as it is"
        )
    editor.replace(index, spelling.value(edit.given))


def _put_within(editor: CallEditor, node: ast.expr, edit: Edit, spelling: Spelling) -> bool:
    """Edit what is written out as a call or as a dict; False where it has to be replaced as a whole."""
    before, after = edit.before, edit.after
    if isinstance(node, ast.Dict) and isinstance(before, dict) and isinstance(after, dict):
        keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
        if keys == list(before):
            items = DictEditor(editor.text, node)
            items.set(before, after, spelling.item)
            editor.take(items)
            return True
    inner = editor.within(node)
    is_made_here = inner is not None and resolved(inner.call.func, editor.names) is type(after)
    if inner is None or not is_made_here or type(before) is not type(after) or not isinstance(after, Declaration):
        return False
    if isinstance(after, Environment | Image):
        return False
    wanted, parameters = shortest(after), _positional(type(after))
    try:
        for change in before.diff(after):
            if change.field not in wanted:
                _drop(inner, change.field, parameters)
            else:
                given = wanted[change.field]
                _put(inner, Edit(change.field, change.before, change.after, given), parameters, spelling)
    except UsageError:
        return False  # replaced as a whole
    editor.take(inner)
    return True
