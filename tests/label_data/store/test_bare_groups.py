"""A bare group has the same content as the record, and exports give the same files."""

from collections import Counter

import pytest

from damaged_stores import damage
from label_data.errors import InputError
from label_data.exchange.known_formats import FILE_ENDINGS, WITH_MARGIN, WRITERS
from label_data.records import Completion, Demonstration, Group, Message, Prompt, Ranking, Span, user_prompt
from label_data.store.adding import add_groups
from label_data.store.bare_groups import bare_groups
from label_data.store.single_records import save_ranking
from label_data.store.stored_groups import groups
from planted_people import judged
from store_fixtures import on_sqlite

EVERYTHING = {"groups", "spreadsheet"}
"""Formats of more than a bare group holds."""


@pytest.fixture
def varied(store):
    """One prompt with four completions, two of them twins, rankings of every kind; a plain one; a bare question."""
    prompt = Prompt((Message("system", "Be brief."), Message("user", 'Can "pigs" fly?\n\x01\u2028')), "facts")
    some = tuple(Completion(prompt.id, text) for text in ("No.", "Yes.", "Yes. ", "😀"))
    a, b, twin, d = (completion.id for completion in some)
    message = {
        "ana": ((a, b, twin, d), ((a,), (b, twin), (d,)), {"strength": (2, None), "reason": "wings", "purpose": "key"}),
        "ben": ((a, b, twin), ((b,), (twin,), (a,)), {"strength": (1, 3), "flags": {a: ("untrue",)}}),
        "cyn": ((a, b), ((a,), (b,)), {"purpose": "gold", "ratings": {a: 7}}),
        "dan": ((a, b, d), ((d,), (a,)), {"spans": (Span(a, 0, 2, "rude"),)}),
        "eve": ((a, b), (), {"outcome": "skipped"}),
    }
    rankings = tuple(Ranking(prompt.id, name, shown, order, **more) for name, (shown, order, more) in message.items())
    written = (Demonstration(prompt.id, "They can't.", "ana"), Demonstration(prompt.id, "No!", "ben", b))
    plain = judged("Why?", {"ana": "a>b"})
    add_groups(store, [Group(prompt, some, rankings, written), plain, Group(user_prompt("And hens?"))])
    first = rankings[1]
    save_ranking(store, Ranking(prompt.id, "ben", first.shown, first.order[::-1], revises=first.submission))
    return store


def test_a_bare_group_has_the_current_rankings_with_their_content(varied):
    for bare, group in zip(bare_groups(varied), groups(varied), strict=True):
        assert bare.prompt.as_json == group.prompt.as_json
        assert [(one.id, one.text) for one in bare.completions] == [(one.id, one.text) for one in group.completions]
        assert [one.text for one in bare.demonstrations] == [one.text for one in group.demonstrations]
        for short, ranking in zip(bare.rankings, group.rankings, strict=True):
            message = (short.outcome, short.purpose, short.reason, short.ratings, short.tests_annotator)
            assert message == (
                ranking.outcome,
                ranking.purpose,
                ranking.reason,
                ranking.ratings,
                ranking.tests_annotator,
            )
            assert [tuple(short.shown), tuple(map(tuple, short.order)), tuple(short.strength)] == [
                ranking.shown,
                ranking.order,
                ranking.strength,
            ]
            assert (list(short.flags), len(short.spans)) == (list(ranking.flags), len(ranking.spans))


@on_sqlite
@pytest.mark.parametrize("format_", sorted(WRITERS.keys() - EVERYTHING))
def test_a_format_writes_the_same_file_and_counts_from_bare_groups_and_records(varied, tmp_path, format_):
    options = {"with_margin": True} if format_ in WITH_MARGIN else {}
    ending, created = FILE_ENDINGS[format_][0], []
    for name, result in (("bare", bare_groups(varied)), ("whole", groups(varied))):
        left_out, folder = Counter(), tmp_path / name
        folder.mkdir()
        rows = WRITERS[format_](folder / f"a{ending}", result, left_out, **options)
        created.append((rows, +left_out, {file.name: file.read_bytes() for file in folder.iterdir()}))
    assert created[0] == created[1]
    assert created[0][0] and created[0][1]


def test_a_ranking_whose_completion_is_missing_is_refused(varied, tmp_path):
    damage(varied, "DELETE FROM completions WHERE text = 'No.'")
    with pytest.raises(InputError, match="orders completions that are not in its group"):
        WRITERS["trl"](tmp_path / "a.jsonl", bare_groups(varied))
    assert not (tmp_path / "a.jsonl").exists()
