"""zkserver with its counting taken out, for bench/counting.py: `uncounted.py ZOO_CFG`.

Every method that records something does nothing. What is left of the counting is the calls
themselves and the plain additions in between; --before measures those, too.
"""

from __future__ import annotations

import sys

from zkserver.cli.main import main
from zkserver.server.stats import ServerStats
from zkserver.server.summaries import Summary, SummarySet


def nothing(*_: object) -> None:
    """In the place of what records."""


for kind in (Summary, SummarySet):
    kind.record = nothing  # type: ignore[method-assign, assignment]
for name in ("sample_reads", "sample_writes", "sample_write", "record_watches"):
    setattr(ServerStats, name, nothing)

if __name__ == "__main__":
    sys.argv = [sys.argv[0], "start-foreground", *sys.argv[1:]]
    sys.exit(main())
