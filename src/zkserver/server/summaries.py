"""Distributions of whole numbers (ms, bytes, counts) under Java's two kinds of summary.

* `Summary` (Java: BASIC) is shown by count, sum, least and most: avg_, min_, max_, cnt_, sum_.
* `Percentiles` (Java: ADVANCED) by p50_, p95_, p99_, p999_ as well. Java draws 4,096 values at
  random for these. Here every value is counted, in buckets that are exact below 64 and at most
  1/32 of their values wide above: a percentile is the bottom of its bucket, so it is off by 3 % at
  most and needs no chance. All values since the start (or the word srst) count.
* `SummarySet` has one summary per key, a namespace or a server; after `KEYS_LIMIT` keys, new ones
  are not counted, nor are keys above `KEY_LIMIT_BYTES`, because clients choose the names.

`record(count, value)` takes many equal values at once, since the callers know a batch and not
each request. The functions at the end give the rows of `mntr`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized

PERCENTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999))
KEYS_LIMIT = 1000
KEY_LIMIT_BYTES = 256
_EXACT_BITS = 6
_EXACT = 1 << _EXACT_BITS


class Summary:
    """Count, sum, least, most and histogram of values that are 0 or more; all 0 at first."""

    __slots__ = ("_buckets", "count", "largest", "smallest", "total")

    # What of the histogram Prometheus is shown.
    quantiles: tuple[float, ...] = (0.5,)

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.largest = 0
        self.smallest = 0
        # How many values a bucket has, by its least value.
        self._buckets: dict[int, int] = {}

    def record(self, count: int, value: int) -> None:
        """`value` was measured, `count` times."""
        if value > self.largest:
            self.largest = value
        if value < self.smallest or not self.count:
            self.smallest = value
        self.count += count
        self.total += value * count
        if value >= _EXACT:
            shift = value.bit_length() - _EXACT_BITS
            value = value >> shift << shift
        buckets = self._buckets
        buckets[value] = buckets.get(value, 0) + count

    def average(self) -> float:
        """The mean, rounded to four digits as Java prints it."""
        return round(self.total / self.count, 4) if self.count else 0.0

    def percentile(self, share: float) -> int:
        """The value that this share of all values (0 to 1) is at or below; 0 without any."""
        left = share * self.count
        for value in sorted(self._buckets):
            left -= self._buckets[value]
            if left <= 0:
                return value
        return 0

    def rows(self, name: str) -> Iterator[tuple[str, float]]:
        """The rows of `mntr` for the metric `name`, in Java's order."""
        yield f"avg_{name}", self.average()
        yield f"min_{name}", self.smallest
        yield f"max_{name}", self.largest
        yield f"cnt_{name}", self.count
        yield f"sum_{name}", self.total


class Percentiles(Summary):
    """A `Summary` that shows its percentiles in `mntr`, too."""

    __slots__ = ()

    quantiles = (0.5, 0.9, 0.99)

    def rows(self, name: str) -> Iterator[tuple[str, float]]:
        """The rows of `mntr` for the metric `name`, in Java's order."""
        yield from super().rows(name)
        for prefix, share in PERCENTILES:
            yield f"{prefix}_{name}", self.percentile(share)


class SummarySet:
    """Summaries of one kind by key."""

    def __init__(self, kind: type[Summary] = Summary) -> None:
        self._kind = kind
        self.by_key: dict[str | bytes | int, Summary] = {}

    def record(self, key: str | bytes | int, count: int, value: int) -> None:
        """`value` was measured for `key`, `count` times."""
        summary = self.by_key.get(key)
        if summary is None:
            if not may_join(self.by_key, key):
                return
            summary = self.by_key[key] = self._kind()
        summary.record(count, value)

    def named(self) -> Iterator[tuple[str, Summary]]:
        """Keys as text and their summaries, in the order in which they were first seen."""
        for key, summary in self.by_key.items():
            yield key_text(key), summary


def may_join(by_key: Sized, key: str | bytes | int) -> bool:
    """Whether a key that is new among those that are counted is to be counted."""
    return len(by_key) < KEYS_LIMIT and (isinstance(key, int) or len(key) <= KEY_LIMIT_BYTES)


def key_text(key: str | bytes | int) -> str:
    """A key as it stands in a metric's name: one line, no blanks, no tabs."""
    text = key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else str(key)
    if text.isprintable() and " " not in text:
        return text
    return "".join(c if c.isprintable() and c != " " else f"\\x{ord(c):02x}" for c in text)
