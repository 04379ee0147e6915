"""The spool: an append-only journal on disk between a training loop and the network.

A spool is a folder with one writer and one reader, in one process or in two:

    events-000000000000.log   segments, named by the index of their first record
    counts.json               how many records were written, and how many points the size cap kept out
    cursor.json               which batch is in flight, and how far batches were acknowledged
    reserve                   room on the disk for what must still be written when it is full
    writer.lock               held by whoever writes, and in a loop until all is sent: one process
"""

from tunebook.spool.hold import Hold, SpoolHeld, holding
from tunebook.spool.journal import Record
from tunebook.spool.reader import SpoolReader
from tunebook.spool.writer import SpoolWriter

__all__ = ["Hold", "Record", "SpoolHeld", "SpoolReader", "SpoolWriter", "holding"]
