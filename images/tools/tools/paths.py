"""Terminal prices of random paths: `python -m tools.paths OUT --seed 1 --item 0 ...` writes one a line.

A geometric Brownian motion without drift but the rate: S(T) = S(0)·exp((r - v²/2)·T + v·√T·Z). The random numbers
follow from seed and item, so that the same item has the same paths whenever it is run.
"""

import argparse
import math
import random
from collections.abc import Iterator
from pathlib import Path


def prices(
    *, seed: int, item: int, count: int, spot: float, rate: float, volatility: float, years: float
) -> Iterator[float]:
    """The price at the end of each path."""
    # Text as a seed is hashed with SHA-512: neighbours are as far apart as any.
    source = random.Random(f"{seed}/{item}")  # noqa: S311 - nothing is kept secret with it
    drift = (rate - volatility**2 / 2) * years
    scale = volatility * math.sqrt(years)
    for _ in range(count):
        yield spot * math.exp(drift + scale * source.gauss(0.0, 1.0))


def main() -> None:
    """Run the program, on the words of the command line."""
    parser = argparse.ArgumentParser(prog="tools.paths", description=__doc__)
    parser.add_argument("out", type=Path)
    for name in ("seed", "item", "count"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("spot", "rate", "volatility", "years"):
        parser.add_argument(f"--{name}", type=float, required=True)
    given = vars(parser.parse_args())
    out: Path = given.pop("out")
    with out.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{price!r}\n" for price in prices(**given))
    print(f"{given['count']} paths at a volatility of {given['volatility']}")  # noqa: T201 - it is the program's log


if __name__ == "__main__":
    main()
