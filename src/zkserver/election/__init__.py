"""Fast leader election: how peers without a leader agree on one, without I/O.

A peer that has no leader is LOOKING. It votes for itself in a new *round*, tells every voter
with a notification, and adopts each better vote that it hears of in its round: the one with the
higher epoch, then zxid, then server id. Votes in a round only get better, so the peers that hear
each other end at one vote. When a quorum holds the same vote the peer waits a moment for a
better one (`finalize_wait_ms`), then takes its role. Whoever comes later hears from those that
follow and lead already, and joins them however good its own vote is.

* `votes`: a vote, which of two is better, and when what a peer said supports a vote.
* `election`: the state machine of one peer, events in and effects out.

What holds: a decision rests on a quorum of voters that said so; a peer decides for another one
that leads already only after that one said LEADING itself; observers and strangers are answered
and never counted. A round may fall: who joins a standing leader takes that one's round.

What is left to the protocol that follows: two peers may still decide differently in one round
when a better vote comes late, as in Apache ZooKeeper. A leader that finds no quorum of followers
within initLimit looks again, so that is a matter of time and never of data.

Left out: connections (who dials whom, the queue of one notification for each peer, and that the
last one is sent again on a new connection) are the driver's; and the oracle for two servers.
"""
