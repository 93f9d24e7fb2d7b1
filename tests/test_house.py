"""The house: which room may import from which, and what every file owes its reader.

A room imports only from floors below its own. The lists are the law; a new room is added here first.
"""

import ast
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "src" / "trunkline"

FLOORS = (
    {"vocabulary"},
    {"wire", "models", "state", "ledger", "telemetry", "clock"},
    {"providers", "policies"},
    {"config"},
    {"snapshot", "runtime"},
    {"compose", "opening"},
    {"asking"},
    {"client"},
    {"portal"},
    {"default"},
    {"agent", "gateway", "batch", "testing"},
    {"interfaces", "cli"},
)
"""Lowest first. Rooms on one floor do not import each other."""

FLOOR = {room: height for height, floor in enumerate(FLOORS) for room in floor}
OPTIONAL = {"jsonschema_rs", "keyring", "numpy", "redis", "splintr", "uvicorn", "xllamacpp"}
"""Third-party packages that a function may import, because a machine may lack them."""
LATE = {"providers/http/transport.py": {"pool"}, "providers/auth/google.py": {"fetching"}}
"""Files of the house that are imported at their first use: HTTP libraries cost 130 and 8 ms, not for each client."""
NAMELESS = {"utils", "helpers", "common", "base", "data", "info", "misc", "util", "helper"}

FILES = sorted(HOUSE.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(HOUSE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST) -> list[tuple[str, ast.stmt]]:
    """Every imported module, relative ones left out, with its statement."""
    found: list[tuple[str, ast.stmt]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "trunkline":
            found += [(f"trunkline.{alias.name}", node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append((node.module or "", node))
    return found


def modules_imported(path: Path) -> set[str]:
    """The files of the house that a file imports, as dotted names, relative imports resolved."""
    package = [*path.relative_to(HOUSE).parent.parts]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" if is_module(f"{base}.{alias.name}") else base for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trunkline."):
            base = (node.module or "").removeprefix("trunkline.")
            found |= {f"{base}.{alias.name}" if is_module(f"{base}.{alias.name}") else base for alias in node.names}
    return {name.strip(".") for name in found if is_module(name.strip("."))}


def is_module(dotted: str) -> bool:
    place = HOUSE.joinpath(*dotted.strip(".").split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def dotted(path: Path) -> str:
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def identity(path: Path) -> str:
    return str(path.relative_to(HOUSE))


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_a_room_imports_only_from_floors_below(path: Path):
    room = room_of(path)
    if room == "__init__":
        return  # the page of public names: it names everything and imports it lazily
    assert room in FLOOR, f"'{room}' has no floor yet: give it one in FLOORS"
    for module, _ in imports(ast.parse(path.read_text())):
        if not module.startswith("trunkline."):
            continue
        other = module.split(".")[1]
        assert other == room or FLOOR.get(other, 99) < FLOOR[room], f"{room} may not import {module}"


def test_the_interfaces_can_be_left_out():
    """Nobody but they themselves, their tests and their pages knows of them: without the folder, the rest is whole."""
    for folder in (HOUSE, *(HOUSE.parents[1] / name for name in ("tests", "bench", "scripts"))):
        for path in folder.rglob("*.py"):
            if "interfaces" not in path.relative_to(folder).parts[:1]:
                for module, _ in imports(ast.parse(path.read_text())):
                    assert not module.startswith("trunkline.interfaces"), f"{path} needs the interfaces"


def test_the_grammar_knows_no_dialect():
    for path in (HOUSE / "wire" / "grammar").rglob("*.py"):
        for module in modules_imported(path):
            assert module.startswith(("vocabulary.", "wire.grammar")), f"{path.name} may not import {module}"


def test_no_import_cycles():
    graph = {dotted(path): modules_imported(path) for path in FILES if path.name != "__init__.py"}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"import cycle: {' → '.join([*trail[trail.index(module) :], module])}"
        if module not in done:
            for other in graph.get(module, ()):
                visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_functions_import_only_optional_packages(path: Path):
    tree = ast.parse(path.read_text())
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for module, _ in imports(function):
            package = module.split(".")[0]
            lazy = (
                package == "trunkline" and room_of(path) == "cli"
            )  # a command imports what it needs when it is called
            assert package in OPTIONAL or lazy, f"{function.name} imports {module}: move it to the top of the file"


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_a_file_says_what_it_is(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text())), (
        "a file opens with a docstring: what it owns, what it is not told"
    )


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_names_say_something(path: Path):
    for part in path.relative_to(HOUSE).with_suffix("").parts:
        assert part not in NAMELESS, f"'{part}' says nothing: which noun is missing?"


@pytest.mark.parametrize(
    "path", [path for path in FILES if room_of(path) in {"wire", "policies", "vocabulary"}], ids=identity
)
def test_how_an_api_is_spoken_knows_no_provider(path: Path):
    """`if provider == …` appears nowhere below the catalog: compare no name of a row, whatever it is called."""
    from trunkline.providers.catalog import CATALOG

    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            words = {entry.value for entry in ast.walk(node) if isinstance(entry, ast.Constant)}
            assert not words & set(CATALOG.names()), f"line {node.lineno} compares a provider's name"


def test_only_http_talks_to_the_network():
    sockets = {"aiohttp", "httpx", "requests", "http.client", "urllib.request"}
    allowed = {"providers/http/pool.py", "providers/auth/fetching.py"}  # a thread of google-auth's fetches tokens
    for path in FILES:
        if identity(path) in allowed:
            continue
        modules = {module for module, _ in imports(ast.parse(path.read_text()))}
        assert not modules & sockets, f"{identity(path)} imports {modules & sockets}: use Transport"


def test_import_is_light():
    """`import trunkline` brings none of the rooms with it."""
    import subprocess

    code = "import sys, trunkline; print(*[name for name in sys.modules if name.startswith('trunkline.') or name in "
    code += "('aiohttp', 'msgspec', 'yaml', 'asyncio')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
