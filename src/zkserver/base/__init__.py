"""The words of the house: error codes, zxid, paths, ACLs, Stat, settings.

Nothing here knows a byte of the wire beyond a Stat, and nothing does I/O.
"""
