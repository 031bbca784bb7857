"""What looks at a running server from within its process, and answers over HTTP.

`cli.serve` makes these and hands them the process (`runtime.attachment`); nothing of a server knows
of them. `lazy_http` is the listener they share, which costs nothing until somebody comes;
`admin_server` answers the admin commands.
"""
