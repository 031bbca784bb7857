"""The data tree: what a server holds in memory, and the one function that changes it.

`tree.DataTree.apply` takes a transaction and changes the tree; a live commit, a
replay of the log and (later) a learner's synchronisation all go through it. It
returns what the reply needs and leaves the watch events it fired in
`DataTree.fired`. Invariants:

* `nodes` holds parents before children, in insertion order, so that a snapshot
  is one walk over it;
* `digest` is the sum of the digests of all nodes, after every `apply`;
* applying a transaction twice is harmless: a replay over a snapshot that is
  ahead of its name ends in the same tree (ZOOKEEPER-1046).

For the tools there are `comparison` (subtrees, and two trees side by side) and
`java_order`. Rooms above may read every attribute; they change nothing except through methods.
"""
