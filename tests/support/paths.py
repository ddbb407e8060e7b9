"""Folders of the checkout and of the tests."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
OLD_STORES = TESTS / "label_data" / "database" / "stores"
"""Dumps of stores written by earlier versions, named after their newest migration."""
