"""Durable collections: rows in SQLite, the index derived from them. See README.md beside this."""

from nearfield.collection.check import Check
from nearfield.collection.collection import Collection
from nearfield.collection.hits import Hit, Item

__all__ = ["Check", "Collection", "Hit", "Item"]
