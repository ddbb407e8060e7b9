"""Where the checkout and the tests' own files are."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
OLD_STORES = TESTS / "label_data" / "database" / "stores"
"""Dumps of stores as earlier versions wrote them, by the number of their newest migration."""
