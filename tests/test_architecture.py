"""The layers: imports point down, never up, never sideways, never in a circle; and what an import costs stays small."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import flyte_nb
import pytest

PACKAGE = Path(flyte_nb.__file__).parent

# From the bottom up. A unit is a module or a folder of the package; it may import the units of the rows above its own
# in this list, and itself. Units of one row do not know each other.
LAYERS = [
    ["visible"],
    ["tracebacks", "views", "pickling", "pairs", "observers", "history"],
    ["errors"],
    ["environments", "absent"],
    ["context", "config"],
    [
        "app",
        "clustered",
        "durable",
        "extend",
        "commands",
        "changes",
        "extras",
        "initialize",
        "io",
        "mapping",
        "models",
        "notify",
        "report",
        "types",
    ],
    ["connectors"],
    ["registry", "notebook", "plugins", "storage"],
    ["containers"],
    [
        "cell_line",
        "form",
        "clone_options",
        "plan",
        "engine.definition",
        "engine.fingerprint",
        "engine.outputs",
        "engine.policy",
        "engine.segments",
    ],
    ["engine.records"],
    ["engine.base"],
    ["engine.codec", "engine.store", "portal"],
    ["engine.inline", "engine.local", "engine.cluster", "syncify"],
    ["workbook", "doctor"],
    ["cell_connectors"],
    ["shipping", "declared_source"],
    ["run_outputs"],
    ["session", "widgets"],
    ["made_of"],
    [
        "verbs",
        "cluster_app",
        "connecting",
        "planning",
        "comparing",
        "cloning",
        "drafting",
        "rolling",
        "starting",
        "served_app",
        "served_connectors",
        "standing",
        "translating",
        "watching",
    ],
    ["deployed_tasks", "deploying", "app_specs", "editing"],
    ["cluster_serving"],
    ["serve_context"],
    ["prepared"],
    [
        "run_context",
        "showing",
        "secret_commands",
        "completion",
        "serving",
        "plan_panels",
        "clone_panels",
    ],
    ["browsing"],
    [
        "run_commands",
        "environment_commands",
        "deploy_commands",
        "plan_commands",
        "clone_commands",
        "connect_commands",
        "edit_commands",
        "doctor_commands",
    ],
    ["serve_commands", "serve_forever"],
    ["app_commands"],
    ["magics", "headless"],
    ["cli"],
]
# Modules of this package that are imported inside functions, and why.
DEFERRED = {
    ("cli", "headless"): "each command loads what it needs",
    ("cli", "serve_forever"): "each command loads what it needs",
    ("cli", "verbs"): "each command loads what it needs",
    ("cli", "engine.store"): "each command loads what it needs",
    ("cli", "widgets"): "each command loads what it needs",
    ("engine.local", "containers"): "most tasks have no container",
    ("engine.inline", "containers"): "most tasks have no container",
    ("session", "engine.inline"): "an engine is loaded when it is first asked for",
    ("session", "engine.cluster"): "an engine is loaded when it is first asked for",
    ("session", "engine.local"): "an engine is loaded when it is first asked for",
    ("run_commands", "engine.local"): "most kernels never make an image",
    ("app_commands", "serve_commands"): "most kernels serve no app",
    ("planning", "engine.local"): "what only a plan needs of the engine comes with the first plan",
    ("browsing", "app_specs"): "most kernels serve no app",
    ("showing", "app_specs"): "most kernels serve no app",
    ("browsing", "serving"): "most kernels serve no app",
    ("connect_commands", "connecting"): "most kernels need no cluster",
    ("connect_commands", "widgets"): "most kernels need no cluster",
    ("edit_commands", "editing"): "most kernels edit nothing",
    ("doctor_commands", "doctor"): "most kernels need no doctor",
    ("doctor_commands", "widgets"): "most kernels need no doctor",
}
FRONT = {"__init__", "__main__"}  # the package's own doors may open on anything
HEAVY = [
    "IPython",
    "ipywidgets",
    "grpc",
    "flyteidl2",
    "google.protobuf",
    "msgpack",
    "prometheus_client",
    "flyte",
    "nbformat",
    "nbclient",
    "sqlite3",
    "http.server",
    "asyncio",
    "kubernetes",
]


class Import(NamedTuple):
    """One import of the package's own, or of ``flyte``."""

    importer: str
    imported: str
    deferred: bool
    line: int


def modules(package: Path) -> dict[str, Path]:
    """Give the modules of a package by dotted name, without the package's own name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = list(path.relative_to(package).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


def imports(package: Path) -> Iterator[Import]:
    """Give every import of the package's own modules and of ``flyte``, hidden ones included."""
    known = modules(package)
    for name, path in known.items():
        tree = ast.parse(path.read_text())
        inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                  for n in ast.walk(f)}  # fmt: skip
        typing_only = {id(n) for i in ast.walk(tree) if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.unparse(i.test)
                       for n in ast.walk(i)}  # fmt: skip
        for node in ast.walk(tree):
            if id(node) not in typing_only:
                for target in targets(node, known):
                    yield Import(name, target, id(node) in inside, node.lineno)


def targets(node: ast.AST, known: dict[str, Path]) -> list[str]:
    """Give what one node imports, by name within the package; ``flyte`` stands for itself."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
        "import_module",
        "importlib.import_module",
        "__import__",
    ):
        names = [a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    elif isinstance(node, ast.ImportFrom):
        return [f"relative import on line {node.lineno}"]
    else:
        return []
    return [target for name in names if (target := within(name, known))]


def within(name: str, known: dict[str, Path]) -> str | None:
    if name == "flyte" or name.startswith("flyte."):
        return "flyte"
    if not name.startswith("flyte_nb."):
        return None
    inner = name.removeprefix("flyte_nb.")
    while inner and inner not in known:
        inner = inner.rpartition(".")[0]
    return inner or None


def unit(module: str) -> str | None:
    """Give the unit of the layers that a module belongs to."""
    units = [u for row in LAYERS for u in row]
    return next((u for u in units if module == u or module.startswith(f"{u}.")), None)


def level(of: str) -> int:
    return next(i for i, row in enumerate(LAYERS) if of in row)


def faults(package: Path) -> list[str]:
    """List everything that breaks the architecture."""
    found = [f"{name} belongs to no layer" for name in modules(package)
             if name not in FRONT | {"engine"} and unit(name) is None]  # fmt: skip
    graph: dict[str, set[str]] = {}
    for importer, imported, deferred, line in imports(package):
        if importer in FRONT:
            continue
        where = f"{importer}:{line} imports {imported}"
        if imported == "flyte":
            found += [] if importer.startswith("engine.cluster") else [f"{where}: only engine.cluster may"]
            continue
        if imported.startswith("relative"):
            found.append(f"{importer}: {imported}; write it in full")
            continue
        if not deferred:
            graph.setdefault(importer, set()).add(imported)
        ours, theirs = unit(importer), unit(imported)
        if ours is None or theirs is None or ours == theirs:
            continue
        if level(theirs) > level(ours):
            found.append(f"{where}: upward")
        elif level(theirs) == level(ours):
            found.append(f"{where}: sideways")
        elif deferred and (ours, theirs) not in DEFERRED:
            found.append(f"{where}: hidden in a function")
    return found + circles(graph)


def circles(graph: dict[str, set[str]]) -> list[str]:
    try:
        list(graphlib.TopologicalSorter({k: v - {k} for k, v in graph.items()}).static_order())
    except graphlib.CycleError as error:
        return [f"a circle of imports: {' -> '.join(error.args[1])}"]
    return []


def test_imports_point_down() -> None:
    assert faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ({"plan/graph.py": "import flyte_nb.session"}, "plan.graph:1 imports session: upward"),
        ({"registry.py": "from flyte_nb.notebook import cells"}, "registry:1 imports notebook.cells: sideways"),
        ({"session.py": "def f():\n    from flyte_nb import errors"}, "session:2 imports errors: hidden in a function"),
        ({"plan/a.py": "import flyte_nb.plan.b", "plan/b.py": "import flyte_nb.plan.a"}, "a circle of imports"),
        (
            {"environments/base.py": "def f():\n    import flyte_nb.magics"},
            "environments.base:2 imports magics: upward",
        ),
        ({"session.py": "import flyte"}, "session:1 imports flyte: only engine.cluster may"),
        ({"session.py": "from . import errors"}, "session: relative import"),
        ({"session.py": "import_module('flyte_nb.cli')"}, "session:1 imports cli: upward"),
        ({"helpers.py": ""}, "helpers belongs to no layer"),
    ],
)
def test_the_guard_sees_what_is_planted(tmp_path: Path, planted: dict[str, str], told: str) -> None:
    stubs = ["session.py", "registry.py", "magics.py", "cli.py", "errors.py", "notebook/cells.py", "engine/__init__.py"]
    for name, source in {**dict.fromkeys(stubs, ""), "__init__.py": "", **planted}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    assert [fault for fault in faults(tmp_path) if fault.startswith(told)], faults(tmp_path)


def loaded(code: str) -> set[str]:
    """Give the modules that a fresh interpreter has loaded after some code."""
    script = f"{code}\nimport sys\nprint(*sorted(sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded("import flyte_nb") & set(HEAVY)


def test_the_vocabulary_needs_no_session() -> None:
    names = loaded("import flyte_nb as f\nf.TaskEnvironment('a', resources=f.Resources(cpu=1)).task(lambda: 1)")
    assert not names & {"flyte_nb.session", "flyte_nb.magics", "IPython", "ipywidgets", "flyte", "grpc"}


def test_a_worker_loads_less_than_a_kernel() -> None:
    own = {name for name in loaded("import flyte_nb.engine.local.worker") if name.startswith("flyte_nb.")}
    kernel_only = {
        "session",
        "verbs",
        "magics",
        "headless",
        "cli",
        "engine.store",
        "engine.base",
        "portal",
        "widgets",
        "plan.bundle",
        "plan.graph",
        "planning",
    }
    assert not own & {f"flyte_nb.{name}" for name in kernel_only}


@pytest.mark.parametrize("path", modules(PACKAGE).values(), ids=modules(PACKAGE))
def test_modules_and_functions_stay_readable(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 400
    functions = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno >= 60] == []
