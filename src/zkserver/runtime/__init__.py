"""The outside: sockets, files, clocks, threads, processes and the log.

The only room with asyncio. `main.run` starts a server and is the one place where
the process ends.
"""
