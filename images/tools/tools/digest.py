"""What a file holds, in a few figures: `python -m tools.digest FILE OUT` writes them to OUT as JSON."""

import argparse
import collections
import hashlib
import json
import math
from pathlib import Path

_CHUNK = 1 << 20


def digest(path: Path) -> dict[str, int | float | str]:
    """`bytes`, `lines`, `entropy` in bits a byte, and `sha256`."""
    sha256 = hashlib.sha256()
    counts: collections.Counter[int] = collections.Counter()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            counts.update(chunk)
    size = counts.total()
    entropy = -sum(count / size * math.log2(count / size) for count in counts.values())
    return {
        "bytes": size,
        "lines": counts[ord("\n")],
        "entropy": round(abs(entropy), 6),
        "sha256": sha256.hexdigest(),
    }


def main() -> None:
    """Run the program, on the words of the command line."""
    parser = argparse.ArgumentParser(prog="tools.digest", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    given.out.write_text(json.dumps(digest(given.file)) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
