"""The project's own format: short to write by hand, and it loses nothing."""

import json
import re
import shutil
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from group_strategies import some_groups
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.formats import groups
from label_data.records import Completion, Group, Message, Prompt, Ranking
from label_data.store.adding import add_groups
from label_data.store.stored_groups import groups as stored_groups
from store_fixtures import completions_of
from tests.support.paths import ROOT


@pytest.fixture
def address(sqlite_store):
    """Return the address of a store on SQLite alone: these tests are about files and wording, not about SQL."""
    return sqlite_store


SAMPLE = {
    "prompt": "Can pigs fly?",
    "completions": [{"text": "No."}, {"text": "Yes."}, {"text": "Pigs have no wings."}],
    "rankings": [{"annotator": "ana", "order": [[3], [1, 2]]}],
}


def file_of(tmp_path, *lines):
    path = tmp_path / "hand.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_shortest_line_names_completions_by_their_place(tmp_path):
    (group,) = groups.read(file_of(tmp_path, SAMPLE))
    no, yes, wings = group.completions
    (ranking,) = group.rankings
    assert group.prompt.messages == (Message("user", "Can pigs fly?"),)
    assert (group.prompt.source, group.prompt.category) == ("hand.jsonl", "")
    assert ranking.order == ((wings.id,), (no.id, yes.id))
    assert (ranking.annotator, ranking.outcome, ranking.source) == ("ana", "ranked", "import")


def test_completions_may_have_names_and_a_conversation_may_be_the_prompt(tmp_path):
    line = {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Can pigs fly?"}],
        "completions": [{"id": "a", "text": "No.", "policy": "tiny"}, {"id": "b", "text": "Yes."}],
        "rankings": [{"annotator": "ana", "order": [["b"], ["a"]], "flags": {"a": ["untrue"]}, "strength": [2]}],
    }
    (group,) = groups.read(file_of(tmp_path, line))
    assert [message.role for message in group.prompt.messages] == ["system", "user"]
    no, yes = group.completions
    assert group.rankings[0].order == ((yes.id,), (no.id,))
    assert group.rankings[0].flags == {no.id: ("untrue",)}


def test_without_shown_those_placed_were_shown_in_an_order_that_says_nothing(tmp_path):
    line = SAMPLE | {"rankings": [{"annotator": "ana", "order": [[3], [1]]}, {"annotator": "bo", "outcome": "all_bad"}]}
    (group,) = groups.read(file_of(tmp_path, line))
    no, yes, wings = group.completions
    assert group.rankings[0].shown == tuple(sorted((no.id, wings.id)))
    assert group.rankings[1].shown == tuple(sorted((no.id, yes.id, wings.id)))


def with_ranking(**fields):
    return SAMPLE | {"rankings": [{"annotator": "ana", "order": [[1], [2]]} | fields]}


def with_span(**fields):
    """Return a line in which "No." (three characters) has a span, with these fields changed."""
    return with_ranking(spans=[{"completion": 1, "start": 0, "end": 2, "kind": "untrue"} | fields])


def with_demonstration(**fields):
    return SAMPLE | {"demonstrations": [{"annotator": "ana", "text": "Pigs can't."} | fields]}


def with_completion(**fields):
    return SAMPLE | {"completions": [{"text": "No."}, {"text": "Yes."}, {"text": "Hm."} | fields]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            SAMPLE | {"ranking": []},
            "field ranking: unknown field. Rename it, or remove it. Known fields: prompt, messages",
        ),
        (SAMPLE | {"prompt": 5}, "field prompt: found the number 5"),
        (SAMPLE | {"prompt": None}, "field prompt: missing; the fields are prompt, completions, rankings"),
        (SAMPLE | {"messages": [{"role": "user", "content": "a"}]}, "field prompt: found both this field and messages"),
        (SAMPLE | {"prompt": [{"role": "user"}]}, "field prompt: The value, message 1: not an object"),
        (SAMPLE | {"category": ["a"]}, "field category: found a list"),
        (SAMPLE | {"completions": "No."}, "field completions: found a text. Write a list."),
        (SAMPLE | {"completions": ["No."]}, "field completions[1]: found a text. Write an object"),
        (with_completion(text=None), "field completions[3].text: missing; the fields are text"),
        (with_completion(text="No."), "field completions[3]: an earlier completion has the same text and policy"),
        (with_completion(id="1"), "field completions[3]: an earlier completion has the id '1' too"),
        (with_completion(id=1.5), "field completions[3].id: found the number 1.5. Name a completion by its id"),
        (with_completion(model="x"), "field completions[3].model: unknown field"),
        (
            with_completion(seed=2**64),
            "field completions[3].seed: found the number 18446744073709551616. Write a whole",
        ),
        (with_completion(seed=True), "field completions[3].seed: found true"),
        (with_completion(sampling=[]), "field completions[3].sampling: found a list. Write an object"),
        (with_completion(sampling="{"), "field completions[3].sampling: invalid JSON at character 2"),
        (with_completion(sampling='{"a": "\\u0000"}'), "field completions[3].sampling.a: the text holds a NUL"),
        (
            with_completion(policy="x" * 1_001),
            "field completions[3]: A completion's policy is too long: 1,001 characters",
        ),
        (with_ranking(annotator=None), "field rankings[1].annotator: missing; the fields are annotator, order"),
        (with_ranking(annotator=""), "field rankings[1]: A ranking of prompt"),
        (
            with_ranking(order=[1, 2]),
            "field rankings[1].order[1]: found the number 1. Write a list of the ids that are tied there",
        ),
        (with_ranking(order=[["x"], [1]]), "field rankings[1].order[1]: found completion 'x', which the line does not"),
        (with_ranking(order=[[1], [1]]), "field rankings[1]: A ranking of prompt"),
        (with_ranking(order=[[1.0], [2]]), "field rankings[1].order[1]: found the number 1.0. Name a completion"),
        (with_ranking(shown=[1, 2, 4]), "field rankings[1].shown: found completion '4', which the line does not have"),
        (with_ranking(flags={"1": "untrue"}), "field rankings[1].flags: found a text. Write a list of texts"),
        (with_ranking(flags={"9": []}), "field rankings[1].flags: found completion '9'"),
        (with_ranking(strength=[True]), "field rankings[1].strength: found true. Write 1, 2, 3 or null"),
        (with_ranking(strength=[4]), "field rankings[1]: A ranking of prompt"),
        (with_ranking(seconds="4"), "field rankings[1].seconds: found a text. Write a finite number"),
        (with_ranking(assisted=1), "field rankings[1].assisted: found the number 1. Write true or false."),
        (with_ranking(submitted=1.5), "field rankings[1].submitted: found the number 1.5. Write a whole number"),
        (with_ranking(project="x" * 101), "field rankings[1]: The project is too long: 101 characters"),
        (with_ranking(best=1), "field rankings[1].best: unknown field"),
        (with_ranking(ratings={"1": 8}), "field rankings[1]: A ranking of prompt"),
        (with_ranking(ratings={"9": 1}), "field rankings[1].ratings: found completion '9'"),
        (with_ranking(ratings=[7]), "field rankings[1].ratings: found a list. Write an object"),
        (with_ranking(spans=[{"completion": 9}]), "field rankings[1].spans[1].completion: found completion '9'"),
        (
            with_ranking(spans=[{"completion": 1}]),
            "field rankings[1].spans[1].kind: missing; the fields are completion",
        ),
        (with_span(start=0.5), "field rankings[1].spans[1].start: found the number 0.5. Write a whole number"),
        (with_span(start=2, end=2), "field rankings[1].spans[1]: A span of completion"),
        (with_span(end=4), "Ranking"),
        (with_span(colour="red"), "field rankings[1].spans[1].colour: unknown field"),
        (with_demonstration(text=None), "field demonstrations[1].text: missing; the fields are annotator"),
        (with_demonstration(text=" "), "field demonstrations[1]: A demonstration for prompt"),
        (with_demonstration(edited_from=9), "field demonstrations[1].edited_from: found completion '9'"),
        (with_demonstration(policy="x"), "field demonstrations[1].policy: unknown field"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line_and_field(tmp_path, line, message):
    path = file_of(tmp_path, SAMPLE, line)
    with pytest.raises(InputError) as error:
        list(groups.read(path))
    assert str(error.value).startswith((f"{path}, line 2, {message}", f"{path}, line 2: {message}"))


def test_a_revision_of_a_ranking_that_the_file_does_not_have_counts_as_a_first_one(tmp_path):
    left_out = Counter()
    (group,) = groups.read(file_of(tmp_path, with_ranking(revises="gone")), left_out)
    assert group.rankings[0].revises is None
    assert sum(left_out.values()) == 1
    first = {"annotator": "ana", "order": [[1], [2]], "submission": "one"}
    second = {"annotator": "ana", "order": [[2], [1]], "submission": "two", "revises": "one"}
    (group,) = groups.read(file_of(tmp_path, SAMPLE | {"rankings": [first, second]}))
    assert [ranking.revises for ranking in group.rankings] == [None, "one"]


def test_lines_hold_only_what_says_something_and_zero_does(tmp_path):
    prompt = Prompt((Message("user", "Why?"),), source="a.txt")
    one, other = Completion(prompt.id, "Because.", seed=0), Completion(prompt.id, "", "tiny")
    order = Ranking(prompt.id, "ana", (other.id, one.id), ((one.id,), (other.id,)), seconds=0.0, submission="s")
    assert groups.write(tmp_path / "a.jsonl", [Group(prompt, (one, other), (order,))]) == 1
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {
        "messages": [{"role": "user", "content": "Why?"}],
        "source": "a.txt",
        "completions": [{"id": "1", "text": "Because.", "seed": 0}, {"id": "2", "text": "", "policy": "tiny"}],
        "rankings": [
            {
                "annotator": "ana",
                "shown": ["2", "1"],
                "order": [["1"], ["2"]],
                "outcome": "ranked",
                "seconds": 0.0,
                "source": "person",
                "submission": "s",
            }
        ],
    }


def test_the_examples_of_the_documentation_are_read(tmp_path):
    text = (ROOT / "docs" / "groups-format.md").read_text()
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    short, long = groups.read(file_of(tmp_path, *examples))
    assert [len(group.completions) for group in (short, long)] == [3, 2]
    assert [ranking.outcome for ranking in long.rankings] == ["ranked", "skipped"]


def test_the_documentation_names_every_field():
    text = (ROOT / "docs" / "groups-format.md").read_text()
    for field in (*groups.LINE, *groups.COMPLETION, *groups.RANKING):
        assert re.search(rf"^\|.*`{field}`.*\|", text, re.MULTILINE), field


# Export, then import, is the same store


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory):
    """Return the file of an empty store: a copy of it opens sooner than a new one is made."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    open_store(path).dispose()
    return path


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some_groups)
@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
def test_export_then_import_is_the_same_store_and_the_same_bytes(tmp_path_factory, empty_file, ending, made):
    round_trip(tmp_path_factory, empty_file, ending, made)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some_groups)
def test_parquet_too(tmp_path_factory, empty_file, made):
    """Fewer examples: each file that is read starts a process."""
    round_trip(tmp_path_factory, empty_file, ".parquet", made)


def round_trip(tmp_path_factory, empty_file, ending, made):
    folder = tmp_path_factory.mktemp("law")
    one, other = (open_store(shutil.copy(empty_file, folder / name)) for name in ("one.db", "other.db"))
    try:
        add_groups(one, made)
        before = list(stored_groups(one, revised=True))
        assert before == made
        groups.write(folder / f"one{ending}", before)
        add_groups(other, groups.read(folder / f"one{ending}"))
        after = list(stored_groups(other, revised=True))
        assert after == before
        groups.write(folder / f"other{ending}", after)
        assert (folder / f"one{ending}").read_bytes() == (folder / f"other{ending}").read_bytes()
    finally:
        one.dispose()
        other.dispose()


def test_parquet_and_json_lines_hold_the_same(ranked_store, tmp_path):
    stored = list(stored_groups(ranked_store))
    for ending in (".jsonl", ".parquet"):
        groups.write(tmp_path / f"a{ending}", stored)
        assert list(groups.read(tmp_path / f"a{ending}")) == stored
    assert stored[0].completions[0] in completions_of(stored[0].prompt, "first", "second", "third")
