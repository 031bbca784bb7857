"""The commands: `zkserver` and, under the name scripts know, `zkServer.sh`.

`main` reads the command line, `serve` finds the configuration and runs the
server in the foreground, `daemon` starts, stops and asks a server in the
background. `tools` has the commands for files (purge, logs, snapshots, initialise),
`java_names` the same under the names of Apache's scripts. Commands, environment
variables, exit codes and the words on standard output follow Apache ZooKeeper's
bin/zkServer.sh, bin/zkEnv.sh and the programs behind its other scripts.
What concerns only Java (JMX, class path, heap size) is left out.
"""

import time

STARTED_MS = time.monotonic_ns() / 1_000_000
"""When this process began to be a zkserver, by the clock that only goes forward."""
