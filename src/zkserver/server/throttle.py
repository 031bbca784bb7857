"""Limits that turn load away: new connections per time, and bytes of large requests.

`ConnectionThrottle` is a token bucket, and above it a probability of dropping
connections that rises while the bucket is empty and falls while it is full
(BlueThrottle, after the BLUE queue management of Feng et al., 1999). Clock and
randomness are arguments. `LargeRequests` bounds the memory that requests over
a size may take together. Who is turned away has the connection closed, unanswered.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import TYPE_CHECKING

from zkserver.base.errors import LinkError

if TYPE_CHECKING:
    from zkserver.base.config import Config

LARGE_REQUEST_MAX_BYTES = 100 * 1024 * 1024


class ConnectionThrottle:
    """Admits ConnectRequests. `tokens` 0 admits all; `freeze_time_ms` -1 drops none at random.

    The bucket gets `fill_count` tokens per `fill_time_ms`. The drop probability
    moves at most once per `freeze_time_ms`: up by `drop_increase` when the bucket
    is empty, down by `drop_decrease` when at most `decrease_ratio` of it is spent.
    With weights, a new session costs the global weight (or the local one), a
    reopened session the renew weight, and tokens are counted in new sessions.
    """

    def __init__(
        self,
        now_ms: int,
        *,
        tokens: int = 0,
        fill_time_ms: int = 1,
        fill_count: int = 1,
        freeze_time_ms: int = -1,
        drop_increase: float = 0.02,
        drop_decrease: float = 0.002,
        decrease_ratio: float = 0.0,
        weight_enabled: bool = False,
        global_session_weight: int = 3,
        local_session_weight: int = 1,
        renew_session_weight: int = 2,
    ) -> None:
        new = _weight(global_session_weight, 3, local_session_weight)
        renew = _weight(renew_session_weight, 2, local_session_weight)
        local = local_session_weight if local_session_weight > 0 else 1
        self._costs = (new, local, renew) if weight_enabled else (1, 1, 1)
        self._max_tokens = tokens * self._costs[0]
        self._fill_time_ms = max(fill_time_ms, 1)
        self._fill_count = fill_count * self._costs[0]
        self._freeze_time_ms = freeze_time_ms
        self._drop_increase = drop_increase
        self._drop_decrease = drop_decrease
        self._decrease_below = floor(self._max_tokens * decrease_ratio + 0.5)
        self._tokens = self._max_tokens
        self._filled_ms = now_ms
        self._moved_ms = now_ms
        self.drop_probability = 0.0

    @classmethod
    def from_config(cls, config: Config, now_ms: int) -> ConnectionThrottle:
        """The throttle that the settings connection_throttle_* describe."""
        return cls(
            now_ms,
            tokens=config.connection_throttle_tokens,
            fill_time_ms=config.connection_throttle_fill_time_ms,
            fill_count=config.connection_throttle_fill_count,
            freeze_time_ms=config.connection_throttle_freeze_time_ms,
            drop_increase=config.connection_throttle_drop_increase,
            drop_decrease=config.connection_throttle_drop_decrease,
            decrease_ratio=config.connection_throttle_decrease_ratio,
            weight_enabled=config.connection_throttle_weight_enabled,
            global_session_weight=config.connection_throttle_global_session_weight,
            local_session_weight=config.connection_throttle_local_session_weight,
            renew_session_weight=config.connection_throttle_renew_session_weight,
        )

    @property
    def deficit(self) -> int:
        """How many tokens the bucket lacks."""
        return self._max_tokens - self._tokens

    def admit(
        self, now_ms: int, draw: float, renew: bool = False, local: bool = False
    ) -> bool:
        """Whether to go on with a ConnectRequest; `draw` is random in [0, 1).

        `renew` tells that it reopens a session, `local` that its session is local.
        """
        if self._max_tokens == 0:
            return True
        elapsed_ms = now_ms - self._filled_ms
        if elapsed_ms > self._fill_time_ms:
            refill = elapsed_ms * self._fill_count // self._fill_time_ms
            self._tokens = min(self._tokens + refill, self._max_tokens)
            self._filled_ms = now_ms
        if self._freeze_time_ms != -1:
            self._move_drop_probability(now_ms)
            if draw < self.drop_probability:
                return False
        cost = self._costs[2 if renew else 1 if local else 0]
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

    def _move_drop_probability(self, now_ms: int) -> None:
        if now_ms - self._moved_ms <= self._freeze_time_ms:
            return
        self._moved_ms = now_ms
        if self._tokens == 0 and self.drop_probability < 1:
            self.drop_probability = min(self.drop_probability + self._drop_increase, 1.0)
        elif self.deficit <= self._decrease_below and self.drop_probability > 0:
            self.drop_probability = max(self.drop_probability - self._drop_decrease, 0.0)


def _weight(weight: int, default: int, at_least: int) -> int:
    return max(weight, at_least) if weight > 0 else default


class LargeRequests:
    """A budget of `max_bytes` for all requests in flight that are over `threshold_bytes`.

    A threshold of -1 means no limit. Settings that mean nothing fall back as in
    Java: the threshold to -1, the budget to 100 MiB. `rejected` is called for each
    that does not fit.
    """

    def __init__(
        self,
        max_bytes: int = LARGE_REQUEST_MAX_BYTES,
        threshold_bytes: int = -1,
        rejected: Callable[[], None] = lambda: None,
    ) -> None:
        self._max_bytes = max_bytes if max_bytes > 0 else LARGE_REQUEST_MAX_BYTES
        self._threshold_bytes = threshold_bytes if threshold_bytes > 0 else -1
        self.in_flight_bytes = 0
        self._rejected = rejected

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._threshold_bytes > -1

    def is_large(self, size_bytes: int) -> bool:
        """Whether a request of this size counts."""
        return -1 < self._threshold_bytes < size_bytes

    def check(self, size_bytes: int) -> None:
        """Raise LinkError if a request of this size does not fit; it is not counted yet."""
        if self.is_large(size_bytes) and self.in_flight_bytes + size_bytes > self._max_bytes:
            self._rejected()
            raise LinkError(
                f"a request of {size_bytes} bytes beside {self.in_flight_bytes} in flight"
                f" (largeRequestMaxBytes={self._max_bytes})"
            )

    def begin(self, size_bytes: int) -> None:
        """Count a request that was read whole; LinkError if it does not fit."""
        self.check(size_bytes)
        if self.is_large(size_bytes):
            self.in_flight_bytes += size_bytes

    def end(self, size_bytes: int) -> None:
        """A request that `begin` took was answered or dropped."""
        if self.is_large(size_bytes):
            self.in_flight_bytes -= size_bytes
