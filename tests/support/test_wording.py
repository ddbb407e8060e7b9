"""Every key that a test looks up is in the catalogue: seen here at once, and not after a minute in a browser."""

import re

from tests.support.paths import TESTS
from tests.support.wording import wording

KEYS = {
    (path.name, key)
    for path in TESTS.rglob("*.py")
    for key in re.findall(r'wording\("([a-z_]+\.[a-z_]+)"\)', path.read_text())
}


def test_every_key_that_a_test_looks_up_has_a_wording():
    assert len(KEYS) > 30
    for _, key in KEYS:
        assert wording(key), key
