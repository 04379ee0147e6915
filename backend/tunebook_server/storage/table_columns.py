"""Columns as the tables have them again and again."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Integer, MetaData, Text, func, text
from sqlalchemy.types import TypeEngine

metadata = MetaData()


def identity(kind: type[TypeEngine[int]] = BigInteger) -> Column[int]:
    return Column("id", kind, Identity(always=True), primary_key=True)


def reference(
    name: str, target: str, *, cascade: bool = True, nullable: bool = False, primary_key: bool = False
) -> Column[int]:
    foreign_key = ForeignKey(f"{target}.id", ondelete="CASCADE" if cascade else None)
    return Column(name, BigInteger, foreign_key, nullable=nullable, primary_key=primary_key)


def now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def time(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True))


def words(name: str, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def number(name: str, default: str | None = None, kind: type[TypeEngine[int]] = Integer) -> Column[int]:
    return Column(name, kind, nullable=False, server_default=text(default) if default else None)
