"""Which DAGs a file defines, as far as its text says so: others' files are never run."""

import ast
import warnings


def of(source: bytes) -> set[str]:
    """The ids that a DAG file gives in so many words: to `DAG(…)` or `@dag(…)`, or by what `@dag` decorates.

    Ids that are made while it runs are not seen. A file that Python cannot read defines nothing.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in {"DAG", "dag"}:
            values = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "dag_id")]
            found |= {value.value for value in values if isinstance(value, ast.Constant)}
        elif isinstance(node, ast.FunctionDef):
            calls = [made.func if isinstance(made, ast.Call) else made for made in node.decorator_list]
            found |= {node.name for call in calls if _name(call) == "dag"}
    return {name for name in found if isinstance(name, str)}


def _name(function: ast.expr) -> str:
    """A function's last name: `DAG` of `airflow.sdk.DAG`."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
