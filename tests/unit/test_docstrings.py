"""What public functions say of themselves: which errors they raise, and the shapes of their arrays."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import portkin
import portkin_rules
import portkin_training

Function = ast.FunctionDef | ast.AsyncFunctionDef
ARRAYS = re.compile(r"\b(NDArray|ndarray|Floats|Ints|Matrix|Nodes|Points)\b")
"""What an annotation calls an array."""
_PART = r"[\w` +*.<>=/-]{1,20}"
SHAPE = re.compile(rf"\({_PART},\s*({_PART}(,\s*{_PART})*)?,?\)|\bshapes?\b|\bscalars?\b|\b[Ss]ee `")
"""A shape as ``(n,)`` or ``(n, K)``, a word that says it, or where it is said."""
NOT_FOR_CALLERS = {"NotImplementedError", "AssertionError", "StopIteration"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the packages but the command lines, whose errors are for people."""
    for package in (portkin, portkin_rules, portkin_training):
        folder = Path(package.__path__[0])
        for path in sorted(folder.rglob("*.py")):
            if "commands" not in path.parts and path.name != "commands.py":
                yield str(path.relative_to(folder.parent)), ast.parse(path.read_text(encoding="utf-8"))


def public(tree: ast.Module) -> Iterator[tuple[str, Function, str]]:
    """Public functions, and methods of public classes: name, definition, docstring (a constructor has its class's)."""
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node.name, node, ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for part in node.body:
                if not isinstance(part, Function):
                    continue
                said = ast.get_docstring(part) or ""
                if part.name in ("__init__", "__post_init__"):
                    yield f"{node.name}.{part.name}", part, f"{said} {ast.get_docstring(node) or ''}"
                elif not part.name.startswith("_"):
                    yield f"{node.name}.{part.name}", part, said


def raised(node: ast.AST) -> set[str]:
    """The errors that a statement raises itself, without those that it catches, and those of functions within it."""
    if isinstance(node, Function | ast.Lambda | ast.ClassDef):
        return set()
    if isinstance(node, ast.Raise):
        return {ast.unparse(node.exc.func)} if isinstance(node.exc, ast.Call) else set()
    if isinstance(node, ast.Try):
        caught = {name for handler in node.handlers if handler.type for name in names(handler.type)}
        after = [*node.handlers, *node.orelse, *node.finalbody]
        return (raised_in(node.body) - caught) | raised_in(after)
    return raised_in(ast.iter_child_nodes(node))


def raised_in(nodes) -> set[str]:
    """The errors of all of them."""
    return set().union(*map(raised, nodes))


def names(node: ast.AST) -> set[str]:
    """Every name in an expression."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def annotations(function: Function) -> str:
    """What a public function takes and returns, as text."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return " ".join(ast.unparse(hint) for hint in [*(each.annotation for each in arguments), function.returns] if hint)


def test_errors_are_named():
    """A public function that raises an error names it in its docstring."""
    missing = [
        f"{module}:{function.lineno}: {name} raises {error}"
        for module, tree in modules()
        for name, function, said in public(tree)
        for error in sorted(raised_in(function.body) - NOT_FOR_CALLERS)
        if error[:1].isupper() and error.rpartition(".")[2] not in said
    ]
    assert [] == missing


def test_shapes_are_given():
    """A public function that takes or returns arrays gives their shapes in its docstring."""
    missing = [
        f"{module}:{function.lineno}: {name}"
        for module, tree in modules()
        for name, function, said in public(tree)
        if ARRAYS.search(annotations(function)) and not SHAPE.search(said)
    ]
    assert [] == missing


def test_these_checks_find_what_is_missing():
    """An error that is raised and not caught, and an array, are seen in a function whose docstring says nothing."""
    (name, function, said), *_ = public(
        ast.parse("""
def f(x: NDArray[np.int64]) -> None:
    '''Nothing.'''
    try:
        raise KeyError("caught")
    except (KeyError, TypeError):
        raise InputError("told") from None
""")
    )
    assert ("f", {"InputError"}, True) == (name, raised_in(function.body), bool(ARRAYS.search(annotations(function))))
    assert None is SHAPE.search(said)
