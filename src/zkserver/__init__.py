"""A ZooKeeper server in Python, wire- and disk-compatible with Apache ZooKeeper 3.9."""

__version__ = "0.1.0"
