"""Tests are marked by what they need, without anybody having to remember it."""

import pytest

from tests.conftest import NEEDS, SLOW
from tests.support.paths import TESTS


def markers(request):
    return {marker.name for marker in request.node.iter_markers()} & {*NEEDS, "slow"}


@pytest.mark.parametrize("path", SLOW)
def test_every_file_that_is_called_slow_exists(path):
    assert (TESTS / path).exists()


def test_a_test_on_both_back_ends_needs_postgresql_in_one_of_its_runs(request, address):
    assert markers(request) == ({"postgres"} if address.startswith("postgresql") else set())


def test_a_test_without_special_fixtures_needs_nothing(request):
    assert markers(request) == set()
