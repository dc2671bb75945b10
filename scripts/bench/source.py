"""How large the code is, and how well one sees through it: read from the checkout's files, nothing is run."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from scripts.bench.figures import Figure

# What is ours, tests apart.
FOLDERS = ("dags", "emulator", "images", "scripts", "simulation", "terraform")
# How many folders stand above the packages in there; none where a folder is the package.
ABOVE = {"dags": 1, "images": 2}
SUFFIXES = (".py", ".tf")
# Nobody reads a longer file at once.
LONG = 500
# Of circles and long files that `details` names.
SHOWN = 20

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Source:
    """A file of ours.

    Attributes:
        path: from the root of the checkout.
        lines: how many it has, whatever stands on them.
        tree: what is in it; None where it is not Python.
    """

    path: str
    lines: int
    tree: ast.Module | None = None


def measure(root: Path) -> tuple[list[Figure], dict[str, Any]]:
    """Measure.

    Args:
        root: the checkout.

    Returns:
        Figures, and what is behind them: the long files, the circles, a room's names without a docstring.
    """
    found = list(sources(root))
    long = sorted((source for source in found if source.lines > LONG), key=lambda source: -source.lines)
    circles = import_circles(imports(found))
    bare = {source.path: without_docstring(source.tree) for source in found if source.tree}
    figures = [
        Figure(name="code.source_lines", values=[sum(source.lines for source in found)]),
        Figure(name="code.files_above_500", values=[len(long)], compared_with=f"{len(found)} files"),
        Figure(name="code.import_circles", values=[len(circles)]),
        Figure(name="code.public_without_docstring", values=[sum(map(len, bare.values()))]),
    ]
    return figures, {
        "files_above_500": {source.path: source.lines for source in long[:SHOWN]},
        "import_circles": circles[:SHOWN],
        "public_without_docstring": _by_folder({path: len(names) for path, names in bare.items() if names}),
    }


def sources(root: Path) -> Iterator[Source]:
    """Read the files, Python's parsed; what tools leave in folders with a dot is none of ours."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root)
            if path.suffix in SUFFIXES and path.is_file() and not any(part.startswith(".") for part in name.parts):
                text = path.read_text(encoding="utf-8")
                tree = ast.parse(text) if path.suffix == ".py" else None
                yield Source(name.as_posix(), len(text.splitlines()), tree)


def imports(found: Sequence[Source]) -> dict[str, set[str]]:
    """Say which module of ours imports which others, anywhere in it: in a function or for types alone, too."""
    named = {_module(source.path): source for source in found if source.tree}
    arrows: dict[str, set[str]] = {name: set() for name in named}
    for name, source in named.items():
        package = name if source.path.endswith("/__init__.py") else name.rpartition(".")[0]
        for node in ast.walk(source.tree or ast.Module([], [])):
            arrows[name] |= {target for target in _targets(node, package, named) if target != name}
    return arrows


def import_circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Give the groups of modules each of which imports itself by way of the others (Tarjan's components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    circles: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        path.append(name)
        for target in sorted(arrows[name]):
            if target not in order:
                visit(target)
            if target in path:
                low[name] = min(low[name], low[target])
        if low[name] == order[name]:
            place = path.index(name)
            circle = path[place:]
            del path[place:]
            if len(circle) > 1:
                circles.append(sorted(circle))

    for name in arrows:
        if name not in order:
            visit(name)
    return sorted(circles)


def without_docstring(tree: ast.Module) -> list[str]:
    """Name the public classes, functions and methods of a module that do not say what they are."""
    return list(_bare(tree, ""))


def _bare(parent: ast.Module | ast.ClassDef, inside: str) -> Iterator[str]:
    for node in parent.body:
        if isinstance(node, _DEFINITIONS) and not node.name.startswith("_"):
            if ast.get_docstring(node, clean=False) is None:
                yield f"{inside}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from _bare(node, f"{inside}{node.name}.")


def _module(path: str) -> str:
    """The name by which a file is imported."""
    parts = PurePosixPath(path).with_suffix("").parts
    parts = parts[ABOVE.get(parts[0], 0) :]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _targets(node: ast.AST, package: str, named: Mapping[str, Source]) -> Iterator[str]:
    """The modules that a statement imports, as far as they are ours."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in named)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            name = f"{base}.{alias.name}"
            if name in named or base in named:
                yield name if name in named else base


def _by_folder(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of files as counts of their folders, the most first."""
    total: dict[str, int] = {}
    for path, count in counts.items():
        folder = str(PurePosixPath(path).parent)
        total[folder] = total.get(folder, 0) + count
    return dict(sorted(total.items(), key=lambda pair: -pair[1]))
