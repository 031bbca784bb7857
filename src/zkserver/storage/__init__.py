"""The files: transaction log, snapshots, recovery, purge; byte-compatible with Apache ZooKeeper.

Storage knows transactions and bytes, never requests, and reaches files through
the `Disk` port (`disk`). Read in this order: `layout` (what is called what),
`txnlog` (the writer, the hot path), `logreader` (torn or damaged), `snapshot`
and `snapshot_reader`, `compression`, `recovery` (the start), `purge`; then what a
member of an ensemble needs: `epochs`, `truncation`, `log_on_disk`, `tree_stream`;
and for the tools `log_scan`.

Two invariants: what `TxnLogWriter.write` returned for is found again by
`recovery.restore`, whatever crashes in between; and whatever cannot be found
again stops the start.
"""
