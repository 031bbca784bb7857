"""The byte forms of ZooKeeper's records (Apache jute), bytes in and tuples out.

`codec` has the primitives, `requests` what clients send, `txns` what the log and
the ensemble carry (`txn_text` as text), `quorum_packets` what a leader and its learners say to each
other, `notifications` what election ports exchange. All integers are big-endian;
strings, buffers and vectors are preceded by a 4-byte length or count where -1 means
null. Field order: zookeeper-jute's zookeeper.jute.
"""
