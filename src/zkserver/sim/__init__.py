"""The simulated world: a seed in, the same faulty history out, every time.

Virtual time, links and disks stand in for the machine's; the server that runs on
them is the real one. All chance comes from one seed, and nothing else may differ
from run to run, so the digest of a run's events is the same for the same seed.

* `loop`: an asyncio event loop on a virtual clock, and the lives that hosts have on it
* `network`, `transport`: links with TCP's promises, and faults of them
* `grudges`: partitions as data
* `restoring`: what recovery makes of a disk as it stands
* `disk`, `recorded`: a disk that forgets what was not synced; one that acts later
* `events`: what happened, and its digest
* `world`: a loop, a network, an event log and a seed
* `standalone`: the real standalone server in a world
* `client`, `history`: clients that write down what they asked and what they were told
* `model`, `checkers`: what must hold of a history, each property by its name
* `bugs`: planted ones; a simulator that finds nothing proves nothing
* `faults`, `run`: what a seed decides, two acts, and the verdicts
* `host`, `machine`: a server's process on a host, and what it has of its machine
* `ensemble`, `ensemble_faults`, `ensemble_run`: the same of several servers
* `zab_history`, `zab_checkers`: what servers did, and what must hold of it
* `observer`, `packet_names`, `recorder`, `story`: who looks on, and what is written down
* `telling`, `trace`: a story as text, and as a page
* `prefix`: the shortest beginning that shows what is broken
* `seeds`, `__main__`: the command `zkserver simulate`

Invariants: no code here reads a clock, opens a file or a socket, starts a thread or
draws a number that is not of the run's seed; nothing iterates over a set. May import
every room; no room imports this one.

Left out so far: connections that TCP gives up by itself after a quarter of an hour; purges.
"""
