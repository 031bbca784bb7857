"""The server without its sockets: connections, the request pipeline, reads.

`Server` ties the rooms above together for one standalone server. Bytes come in
through `Connection.receive`; a read is answered at once, a write goes through
`Pipeline.submit`, and comes back through `Pipeline.durable` when the runtime has
it on disk. What the server needs of the outside (a clock, the storage thread, a
transport per connection) is handed to it.

Order, as clients may rely on it: the replies of a connection are in the order of
its requests; a watch event stands before the reply to the request that caused it
and before any later reply on its connection.
"""
