"""What looks at a running server over HTTP: the admin commands, and what is built on them.

`admin_server` is the listener. A room of the top: it may use the runtime and all above it, and
nothing in a server knows of it but `cli.serve`, which brings both together.
"""
