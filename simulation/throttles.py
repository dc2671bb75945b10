"""AWS's token buckets: a number of calls at once, which come back at a rate."""

from collections import deque


class TokenBucket:
    """Says whether a call has a token.

    Attributes:
        peak: calls within the busiest second.
        overdrawn: how often it had too few.
    """

    def __init__(self, burst: float, rate: float) -> None:
        """Fill it: `burst` tokens, `rate` a second."""
        self._burst, self._rate = burst, rate
        self._level, self._at = burst, 0.0
        self._second: deque[tuple[float, int]] = deque()
        self._in_second = 0
        self.peak = self.overdrawn = 0

    def take(self, calls: int, now: float) -> bool:
        """Take as many, and say whether it had them; with too few it gives none."""
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        self._second.append((now, calls))
        self._in_second += calls
        while self._second[0][0] <= now - 1.0:
            self._in_second -= self._second.popleft()[1]
        self.peak = max(self.peak, self._in_second)
        if self._level < calls:
            self.overdrawn += 1
            return False
        self._level -= calls
        return True
