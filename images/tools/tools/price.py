"""The price of a European call on simulated paths: `python -m tools.price PATHS OUT --strike 100 --rate 0 --years 1`.

The mean of the discounted payoffs max(S(T) - K, 0), and the standard error of this mean, go to OUT as JSON.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path


def price(paths: Sequence[float], *, strike: float, rate: float, years: float) -> dict[str, float | int]:
    """`price`, `standard_error` and the number of `paths`, of which there must be two."""
    discount = math.exp(-rate * years)
    payoffs = [discount * max(path - strike, 0.0) for path in paths]
    mean = math.fsum(payoffs) / len(payoffs)
    variance = math.fsum((payoff - mean) ** 2 for payoff in payoffs) / (len(payoffs) - 1)
    return {"price": mean, "standard_error": math.sqrt(variance / len(payoffs)), "paths": len(payoffs)}


def main() -> None:
    """Run the program, on the words of the command line."""
    parser = argparse.ArgumentParser(prog="tools.price", description=__doc__)
    parser.add_argument("paths", type=Path)
    parser.add_argument("out", type=Path)
    for name in ("strike", "rate", "years"):
        parser.add_argument(f"--{name}", type=float, required=True)
    given = parser.parse_args()
    paths = [float(line) for line in given.paths.read_text(encoding="utf-8").splitlines()]
    found = price(paths, strike=given.strike, rate=given.rate, years=given.years)
    given.out.write_text(json.dumps(found) + "\n", encoding="utf-8", newline="\n")
    print(f"{found['price']:.4f} ± {found['standard_error']:.4f}")  # noqa: T201 - it is the program's log


if __name__ == "__main__":
    main()
