"""Time that jumps from event to event, and one source of chance."""

import datetime as dt
import heapq
import itertools
import random
from collections.abc import Callable

START = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)


class Clock:
    """The time of a world, the events to come, chance, and the trace of what happened.

    Attributes:
        seconds: since the world began.
        random: all chance in the world comes from here.
        trace: a line an event that means something to people.
        watchers: are called after each event, those while a process is held up among them.
    """

    def __init__(self, seed: int) -> None:
        self.seconds = 0.0
        self.random = random.Random(seed)  # noqa: S311 - a simulation
        self.trace: list[str] = []
        self.watchers: list[Callable[[], None]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> dt.datetime:
        """Give the time."""
        return self.at(self.seconds)

    def at(self, seconds: float) -> dt.datetime:
        """Give the time so long after the world's begin."""
        # What is written down has milliseconds.
        return START + dt.timedelta(milliseconds=round(seconds * 1000))

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Do something later; what is due at one time happens in the order in which it was said."""
        heapq.heappush(self._events, (self.seconds + seconds, next(self._order), event))

    def step(self) -> bool:
        """Let the next event happen; False when there is none."""
        if not self._events:
            return False
        at, _, event = heapq.heappop(self._events)
        # A process that was held up has let time pass meanwhile.
        self.seconds = max(self.seconds, at)
        event()
        for watcher in self.watchers:
            watcher()
        return True

    def pass_by(self, seconds: float) -> None:
        """Let everything happen that is due within some seconds, while whoever calls is held up."""
        until = self.seconds + seconds
        while self._events and self._events[0][0] <= until:
            self.step()
        self.seconds = max(self.seconds, until)

    def chance(self, probability: float) -> bool:
        """Draw."""
        return probability > 0 and self.random.random() < probability

    def say(self, line: str) -> None:
        """Write into the trace."""
        self.trace.append(f"{self.seconds:9.1f} {line}")
