"""The server without its sockets: connections, reads, request pipelines, and a peer's roles.

`Server` is what clients see: sessions, connections, limits. Bytes come in through
`Connection.receive`; a read is answered at once from the tree, a write goes through the
pipeline that the server's role has given it:

* standalone (`pipeline`): prepared, logged, applied, answered;
* leader (`leading`): prepared, proposed, and applied when a quorum has it;
* follower and observer (`learning`): sent to the leader, applied and answered when it comes back.

`role` carries out what the cores of `zab` want, and opens a server when the role may serve;
`database` is what a peer keeps from role to role. What all this needs of the outside (clocks, the
storage, links) is handed to it.

Order, as clients may rely on it: the replies of a connection are in the order of its requests; a
watch event stands before the reply to the request that caused it and before any later reply on
its connection.
"""
