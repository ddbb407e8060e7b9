"""docs/traps.md names, for every trap, tests that exist and that are named after it."""

import re

from tests.support.paths import ROOT

ROW = re.compile(r"^\| (\d+) \| .+ \| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`([\w/]+\.py)::(test_traps?((?:_\d+)+)_\w+)`")


def named_in(text):
    """Return {trap: [(file, test, the traps that its name tells)]}."""
    return {
        int(number): [
            (file, test, {int(one) for one in of.split("_") if one}) for file, test, of in TEST.findall(tests)
        ]
        for number, tests in ROW.findall(text)
    }


def test_every_trap_has_a_test_that_exists_and_is_named_after_it():
    named = named_in((ROOT / "docs" / "traps.md").read_text())
    assert list(named) == list(range(1, 26))
    for trap, tests in named.items():
        assert tests, trap
        for file, test, traps in tests:
            assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text(), (trap, test)
            assert trap in traps, (trap, test)


def test_every_test_that_is_named_after_a_trap_names_one_that_there_is():
    written = "".join(path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py")))
    found = {int(one) for of in re.findall(r"\ndef test_traps?((?:_\d+)+)_", written) for one in of.split("_") if one}
    assert found == set(range(1, 26))
