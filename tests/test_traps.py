"""docs/traps.md names, for every trap, tests that exist and that are named after it."""

import re

from tests.support.paths import ROOT

ROW = re.compile(r"^\| (\d+) \| .+ \| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`([\w/]+\.py)::(test_traps?((?:_\d+)+)_\w+)`")


def named_in(text):
    """Return {trap: [(file, test, the traps in the test's name)]}."""
    return {
        int(number): [(file, test, numbers_in(suffix)) for file, test, suffix in TEST.findall(tests)]
        for number, tests in ROW.findall(text)
    }


def numbers_in(suffix):
    """Return the numbers in a part of a name such as "_3_17"."""
    return {int(number) for number in suffix.split("_") if number}


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
    numbers = set().union(*map(numbers_in, re.findall(r"\ndef test_traps?((?:_\d+)+)_", written)))
    assert numbers == set(range(1, 26))
