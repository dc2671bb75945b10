"""Run worlds in this process: `python -m simulation --seeds 100`; `invoke simulate` is what people call."""

import argparse
import dataclasses
import json
import sys

from simulation import running


def main() -> int:
    """Print a line a world, as JSON; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, help="so many worlds")
    parser.add_argument("--minutes", type=float, help="of processor time")
    parser.add_argument("--kept-first", action="store_true", help="begin with the worlds that failed once")
    parser.add_argument("--until-one-fails", action="store_true", help="end with the first world that fails")
    given = parser.parse_args()
    failed = False
    worlds = running.run(first=given.first, seeds=given.seeds, minutes=given.minutes, kept_first=given.kept_first)
    for lived in worlds:
        told = dataclasses.asdict(lived) | {"scenario": lived.scenario.to_json()}
        sys.stdout.write(json.dumps(told) + "\n")
        failed = failed or bool(lived.problems)
        if failed and given.until_one_fails:
            break
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
