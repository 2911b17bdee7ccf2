"""Tidy: Python as a person lays it out — double quotes, one argument a line where a call is long, comments indented."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Sequence

__all__ = ["WIDTH", "captured_name", "laid_out", "laid_out_source", "renamed", "rewritten", "tidied"]

WIDTH = 88  # what formatters take when nothing else is said
_STEP = "    "


def laid_out(node: ast.stmt, exploded: bool = False) -> str:
    """Write a statement from its syntax tree; comments in it would be lost.

    Parameters
    ----------
    node : ast.stmt
        The statement.
    exploded : bool
        Whether the arguments of its call stand on lines of their own even where they fit on one.
    """
    text = _quoted(ast.unparse(node))
    value = getattr(node, "value", None)
    if not isinstance(value, ast.Call) or not (exploded or len(text) > WIDTH):
        return text
    call = _quoted(ast.unparse(value))
    return text.removesuffix(call) + _call(value, "", exploded=True)


def laid_out_source(source: str) -> str:
    """Write a statement of generated code: on one line, or one argument a line where it is long."""
    return laid_out(ast.parse(source).body[0]) if len(source) > WIDTH else source


def _call(node: ast.Call, indent: str, exploded: bool = False) -> str:
    text = _quoted(ast.unparse(node))
    if (len(indent) + len(text) < WIDTH and not exploded) or not (node.args or node.keywords):
        return text
    inner = indent + _STEP
    lines = [_argument("", argument, inner) for argument in node.args]
    lines += [_argument(f"{word.arg}=" if word.arg else "**", word.value, inner) for word in node.keywords]
    arguments = "".join(f"{inner}{line},\n" for line in lines)
    return f"{_quoted(ast.unparse(node.func))}(\n{arguments}{indent})"


def _argument(name: str, value: ast.expr, indent: str) -> str:
    text = name + _quoted(ast.unparse(value))
    if isinstance(value, ast.Call) and len(indent) + len(text) >= WIDTH:
        return name + _call(value, indent)
    return text


def _quoted(source: str) -> str:
    """Put strings in double quotes where that needs no further escape."""
    lines = io.StringIO(source).readlines()
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(source).readline))):
        text = token.string
        plain = token.type == tokenize.STRING and text.startswith("'") and not text.startswith("'''")
        if plain and '"' not in text and "\\" not in text:
            (row, start), (_, end) = token.start, token.end
            lines[row - 1] = f'{lines[row - 1][:start]}"{text[1:-1]}"{lines[row - 1][end:]}'
    return "".join(lines)


def tidied(source: str) -> str:
    """Give a statement as a person would leave it: what a notebook tolerates at the left edge is indented."""
    node = ast.parse(source).body[0]
    comments = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT]
    call = getattr(node, "value", None)
    if isinstance(call, ast.Call) and not comments and _has_flush_arguments(call, node):
        return laid_out(node, exploded=True)
    lines = source.split("\n")
    for token in comments:
        row = token.start[0] - 1
        if lines[row].strip() == token.string:
            lines[row] = _indent_after(lines, row, token.start[1]) * " " + token.string
    return "\n".join(lines)


def _has_flush_arguments(call: ast.Call, node: ast.stmt) -> bool:
    words: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    starts = [(word.lineno, word.col_offset) for word in words]
    return any(line > node.lineno and column == 0 for line, column in starts)


def _indent_after(lines: list[str], row: int, indent: int) -> int:
    """Give the indentation of the code that follows a comment, where it is deeper than the comment's own."""
    code = next((line for line in lines[row + 1 :] if line.strip() and not line.lstrip().startswith("#")), "")
    return max(indent, len(code) - len(code.lstrip()))


def renamed(source: str, names: dict[str, str]) -> str:
    """Give a source with other names for some of its variables, wherever it reads or binds them."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and node.id in names]
    return rewritten(source, [(node, names[node.id]) for node in found])


def rewritten(source: str, changes: Sequence[tuple[ast.expr | ast.stmt, str]]) -> str:
    """Give a source with other text in the place of some of its nodes, which lie beside each other."""
    lines = source.encode().split(b"\n")
    for node, text in sorted(changes, key=lambda c: (c[0].lineno, c[0].col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        merged = lines[first][: node.col_offset] + text.encode() + lines[last][node.end_col_offset or 0 :]
        lines[first : last + 1] = [merged]
    return b"\n".join(lines).decode()


def captured_name(node: ast.AST) -> str | None:
    """Give the name of the captured value that a statement of a generated module loads."""
    match node:
        case ast.Assign(value=ast.Call(func=ast.Name(id="_captured"), args=[ast.Constant(value=str(name))])):
            return name
    return None
