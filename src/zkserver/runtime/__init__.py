"""The outside: sockets, files, clocks, threads, processes and the log.

The only room with asyncio. `main.run` starts a server: a `standalone.StandaloneProcess`, or a
`peer.PeerProcess` where the configuration has server lines. `process` has what they share, and is
the one place where the process ends.
"""
