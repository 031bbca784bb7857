"""What operators look at: HTTP commands, metrics, audit lines, the console.

Everything here looks at a running process (`runtime.process.Process`) from outside: `cli.serve`
makes the process and these attachments, and hands the one to the others. Nothing in `runtime` or
above knows of this room, so a server without it is the same server.

An attachment (`runtime.attachment`) is an object with `start(process)`, called on the loop once the
process is made, and `async stop()`, called once it has ended. `lazy_http` is the listener they
share, `admin_server` the one of the admin commands.
"""
