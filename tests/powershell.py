"""PowerShell's grammar, as far as it can be looked at without PowerShell."""

from collections.abc import Iterator

import tree_sitter_powershell
from tree_sitter import Language, Node, Parser


def nodes(script: str) -> Iterator[Node]:
    """All nodes of a script's syntax."""

    def walk(node: Node) -> Iterator[Node]:
        yield node
        for child in node.children:
            yield from walk(child)

    return walk(Parser(Language(tree_sitter_powershell.language())).parse(script.encode()).root_node)


def broken(script: str) -> list[str]:
    """What the grammar does not take."""
    return [
        f"line {node.start_point.row + 1}: {(node.text or b'')[:60]!r}"
        for node in nodes(script)
        if node.is_error or node.is_missing
    ]
