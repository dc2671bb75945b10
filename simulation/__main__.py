"""Simulate: `python -m simulation --seeds 100`, `--minutes 5`, `--seed 17` for the trace of one."""

import argparse
import sys
import time
from itertools import count

from simulation.world import World


def main() -> int:
    """Run worlds until the number or the time is used up; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one world, with its trace")
    parser.add_argument("--seeds", type=int, default=100, help="so many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float, help="as many worlds as there is time for")
    given = parser.parse_args()
    if given.seed is not None:
        outcome = World(given.seed).live()
        sys.stdout.write("\n".join([*outcome.trace, f"faults: {outcome.faults}", *outcome.problems, ""]))
        return bool(outcome.problems)
    began, hours, jobs, failed = time.process_time(), 0.0, 0, 0
    for number in count():
        spent = (time.process_time() - began) / 60
        if spent >= given.minutes if given.minutes is not None else number >= given.seeds:
            break
        outcome = World(given.first + number).live()
        hours += outcome.hours * outcome.jobs
        jobs += outcome.jobs
        if outcome.problems:
            failed += 1
            sys.stdout.write(f"seed {outcome.seed}: {'; '.join(outcome.problems)} (faults: {outcome.faults})\n")
    spent = (time.process_time() - began) / 60
    sys.stdout.write(f"{number} worlds, {jobs} jobs, {hours:.0f} hours of jobs, {spent:.2f} minutes; {failed} failed\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
