"""From a request to a transaction.

`Prep.prepare` checks a write against the tree as it will be once all writes that
are still on their way to the disk have been applied, gives it a zxid, and answers
with the transaction to log and the tree digest after it. Nothing here changes the
tree; `changes.Changes` holds what is in flight, path by path, and forgets it when
the pipeline reports it applied.

A refused write is an answer too: an ERROR transaction with its own zxid, logged
like any other. Only a record that cannot be read at all takes none.

The order of the checks decides which error a client sees; each operation's
function follows Apache's PrepRequestProcessor line for line in that, and only in
that.
"""
