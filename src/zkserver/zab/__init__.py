"""ZAB: how a leader and its learners agree on one history, as a core without I/O.

A txn is a zxid and bytes here, an *entry*; what is in it is the tree's affair. The election has
named a leader; from there the protocol goes through four phases.

1. *Discovery.* Every learner says which epoch it has accepted. From a quorum of those (its own
   included) the leader takes the highest, adds one, and that is the new epoch. A learner stores
   it as accepted *before* it answers: it has promised to follow no older leader. The answer says
   what it has: its current epoch and its last zxid. Nobody who answers may have more than the
   leader: a quorum intersects every earlier one, so the leader has all that was ever committed.
2. *Synchronisation.* Each learner is brought to the leader's history (`synchronisation` chooses
   how), then told NEWLEADER. It makes that history durable, then the current epoch, and only then
   acknowledges: whoever can win an election with an epoch has the whole history it began with.
3. *Establishment.* With a quorum of acknowledgements the leader serves and sends UPTODATE.
4. *Broadcast.* Proposals are logged, acknowledged once durable, and committed in the order of
   their zxids when a quorum has acknowledged.

What holds, by the names of the papers:

* *Integrity*: what is applied was proposed, once. *TotalOrder*: in zxid order everywhere.
* *Agreement* and *PrefixConsistency*: of any two servers' applied histories one begins the other.
* *PrimaryIntegrity*: a leader proposes only after a quorum has its initial history.
* One established leader per epoch: an epoch is fixed by a quorum that promises it once.
* Nothing is acknowledged before it is on disk (`effects` puts that into the type).

Read in this order: `effects`, `epochs`, `committed_log`, `synchronisation`, `learner`,
`learner_handler`, `leader`. Left out: the tree, sessions and requests; reconfiguration, whose
place is the verifier; the observer master; the protocol before LEADERINFO (3.3).

Sources: Junqueira, Reed, Serafini, "Zab: High-performance broadcast for primary-backup systems"
(DSN 2011); Medeiros, "ZooKeeper's atomic broadcast protocol" (2012); the server 3.9.5.
"""
