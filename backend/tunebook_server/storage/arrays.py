"""Columns as Postgres arrays in the binary format, without a Python object a value.

psycopg sends a list element by element and picks the array's type by the magnitude of its integers, so that
each mixture would be prepared as a statement of its own. These have one type each. Format: `array_recv` in
PostgreSQL's src/backend/utils/adt/arrayfuncs.c.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

_HEADER = struct.Struct(">iiIii")  # dimensions, has nulls, type of the elements, length, lower bound
_LENGTH = struct.Struct(">i")


@dataclass(frozen=True, slots=True)
class Integers:
    """bigint[]"""

    column: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Doubles:
    """double precision[]"""

    column: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Texts:
    """text[]"""

    column: Sequence[str]


@dataclass(frozen=True, slots=True)
class Blobs:
    """bytea[]"""

    column: Sequence[bytes]


class _Array(Dumper):
    format = Format.BINARY
    element_oid: ClassVar[int]

    def _header(self, length: int) -> bytes:
        return _HEADER.pack(1 if length else 0, 0, self.element_oid, length, 1)[: 20 if length else 12]


class _NumberArray(_Array):
    cell: ClassVar[np.dtype[np.void]]

    def dump(self, obj: Any) -> bytes:
        cells = np.empty(len(obj.column), dtype=self.cell)
        cells["length"], cells["value"] = 8, obj.column
        return self._header(len(cells)) + cells.tobytes()


class IntegersDumper(_NumberArray):
    oid, element_oid, cell = 1016, 20, np.dtype([("length", ">i4"), ("value", ">i8")])


class DoublesDumper(_NumberArray):
    oid, element_oid, cell = 1022, 701, np.dtype([("length", ">i4"), ("value", ">f8")])


class BlobsDumper(_Array):
    oid, element_oid = 1001, 17

    def dump(self, obj: Any) -> bytes:
        cells = [part for blob in obj.column for part in (_LENGTH.pack(len(blob)), blob)]
        return b"".join([self._header(len(obj.column)), *cells])


class TextsDumper(BlobsDumper):
    oid, element_oid = 1009, 25

    def dump(self, obj: Any) -> bytes:
        return super().dump(Blobs([text.encode() for text in obj.column]))


def register(adapters: AdaptersMap) -> None:
    adapters.register_dumper(Integers, IntegersDumper)
    adapters.register_dumper(Doubles, DoublesDumper)
    adapters.register_dumper(Texts, TextsDumper)
    adapters.register_dumper(Blobs, BlobsDumper)
