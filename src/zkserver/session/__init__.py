"""Sessions: ids, passwords, the handshake, and the table that expires them.

* A session's password follows from its id, so every server can check it and a
  session outlives the server it was made on.
* Sessions expire in buckets of one tick, never early and up to a tick late.
* A session that is closing is never touched again and never reopened.

In an ensemble a session has an owner, the server that its client came to last, and may be local,
known to one server alone. Times are of the monotonic clock, in ms, and are arguments.
"""
