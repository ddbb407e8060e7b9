"""The project's own format: short to write by hand, and it loses nothing."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from label_data.contents import groups as stored_groups
from label_data.database import open_store
from label_data.formats import groups
from label_data.records import Completion, Demonstration, Group, InputError, Message, Prompt, Ranking, Span
from label_data.store import add_groups
from store_fixtures import completions_of

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
    ("line", "said"),
    [
        (
            SAMPLE | {"ranking": []},
            "field ranking: found a field of that name. Rename it, or remove it: prompt, messages",
        ),
        (SAMPLE | {"prompt": 5}, "field prompt: found the number 5"),
        (SAMPLE | {"prompt": None}, "field prompt: found none among prompt, completions, rankings"),
        (SAMPLE | {"messages": [{"role": "user", "content": "a"}]}, "field prompt: found both this field and messages"),
        (SAMPLE | {"prompt": [{"role": "user"}]}, "field prompt: The value, message 1: not an object"),
        (SAMPLE | {"category": ["a"]}, "field category: found a list"),
        (SAMPLE | {"completions": "No."}, "field completions: found a text. Write a list."),
        (SAMPLE | {"completions": ["No."]}, "field completions[1]: found a text. Write an object there"),
        (with_completion(text=None), "field completions[3].text: found none among text"),
        (with_completion(text="No."), "field completions[3]: found the text and policy of an earlier one"),
        (with_completion(id="1"), "field completions[3]: found the id '1' of an earlier one"),
        (with_completion(id=1.5), "field completions[3].id: found the number 1.5. Name a completion by its id"),
        (with_completion(model="x"), "field completions[3].model: found a field of that name"),
        (
            with_completion(seed=2**64),
            "field completions[3].seed: found the number 18446744073709551616. Write a whole",
        ),
        (with_completion(seed=True), "field completions[3].seed: found true"),
        (with_completion(sampling=[]), "field completions[3].sampling: found a list. Write an object"),
        (with_completion(sampling="{"), "field completions[3].sampling, character 2: found no JSON there"),
        (with_completion(sampling='{"a": "\\u0000"}'), "field completions[3].sampling.a holds a NUL"),
        (with_completion(policy="x" * 1_001), "field completions[3]: A completion's policy has 1,001 characters"),
        (with_ranking(annotator=None), "field rankings[1].annotator: found none among annotator, order"),
        (with_ranking(annotator=""), "field rankings[1]: A ranking of prompt"),
        (
            with_ranking(order=[1, 2]),
            "field rankings[1].order[1]: found the number 1. Write a list of the ids tied there",
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
        (with_ranking(project="x" * 101), "field rankings[1]: The project has 101 characters"),
        (with_ranking(best=1), "field rankings[1].best: found a field of that name"),
        (with_ranking(ratings={"1": 8}), "field rankings[1]: A ranking of prompt"),
        (with_ranking(ratings={"9": 1}), "field rankings[1].ratings: found completion '9'"),
        (with_ranking(ratings=[7]), "field rankings[1].ratings: found a list. Write an object"),
        (with_ranking(spans=[{"completion": 9}]), "field rankings[1].spans[1].completion: found completion '9'"),
        (with_ranking(spans=[{"completion": 1}]), "field rankings[1].spans[1].kind: found none among completion"),
        (with_span(start=0.5), "field rankings[1].spans[1].start: found the number 0.5. Write a whole number"),
        (with_span(start=2, end=2), "field rankings[1].spans[1]: A span of completion"),
        (with_span(end=4), "Ranking"),
        (with_span(colour="red"), "field rankings[1].spans[1].colour: found a field of that name"),
        (with_demonstration(text=None), "field demonstrations[1].text: found none among annotator"),
        (with_demonstration(text=" "), "field demonstrations[1]: A demonstration for prompt"),
        (with_demonstration(edited_from=9), "field demonstrations[1].edited_from: found completion '9'"),
        (with_demonstration(policy="x"), "field demonstrations[1].policy: found a field of that name"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line_and_field(tmp_path, line, said):
    path = file_of(tmp_path, SAMPLE, line)
    with pytest.raises(InputError) as error:
        list(groups.read(path))
    assert str(error.value).startswith((f"{path}, line 2, {said}", f"{path}, line 2: {said}"))


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
    text = (Path(__file__).parent.parent / "docs" / "groups-format.md").read_text()
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    short, long = groups.read(file_of(tmp_path, *examples))
    assert [len(group.completions) for group in (short, long)] == [3, 2]
    assert [ranking.outcome for ranking in long.rankings] == ["ranked", "skipped"]


def test_the_documentation_names_every_field():
    text = (Path(__file__).parent.parent / "docs" / "groups-format.md").read_text()
    for field in (*groups.LINE, *groups.COMPLETION, *groups.RANKING):
        assert re.search(rf"^\|.*`{field}`.*\|", text, re.MULTILINE), field


# Export, then import, is the same store


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
said = words.filter(lambda text: text.strip())
whole = st.none() | st.integers(-(2**63), 2**63 - 1)
jsonable = st.dictionaries(
    words,
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
    | st.lists(words, max_size=2),
    max_size=3,
)


@st.composite
def rankings(draw, prompt, lengths):
    ids = list(lengths)
    shown = draw(st.permutations(ids).flatmap(lambda some: st.integers(2, len(some)).map(lambda k: tuple(some[:k]))))
    outcome = draw(st.sampled_from(["ranked", "all_bad", "indistinguishable", "skipped"]))
    order = []
    if outcome == "ranked":
        placed = draw(st.permutations(shown).flatmap(lambda some: st.integers(2, len(some)).map(lambda k: some[:k])))
        for completion in placed:
            if order and draw(st.booleans()):
                order[-1] += (completion,)
            else:
                order.append((completion,))
    steps = max(0, len(order) - 1)
    step = st.none() | st.integers(1, 3)
    return Ranking(
        prompt.id,
        draw(words.filter(bool)),
        shown,
        tuple(order),
        outcome,
        draw(st.just(()) | st.tuples(*[step] * steps)),
        draw(st.dictionaries(st.sampled_from(shown), st.lists(words, min_size=1, max_size=2).map(sorted).map(tuple))),
        draw(words),
        draw(st.none() | st.floats(0, 1e9)),
        draw(whole),
        draw(whole),
        None,
        draw(st.booleans()),
        draw(st.sampled_from(["person", "import", "model"])),
        draw(words),
        draw(whole),
        ratings=draw(st.dictionaries(st.sampled_from(shown), st.integers(1, 7))),
        spans=tuple(draw(st.lists(spans([one for one in shown if lengths[one]], lengths), max_size=2)))
        if any(lengths[one] for one in shown)
        else (),
    )


@st.composite
def spans(draw, shown, lengths):
    completion = draw(st.sampled_from(shown))
    start = draw(st.integers(0, lengths[completion] - 1))
    return Span(completion, start, draw(st.integers(start + 1, lengths[completion])), draw(said))


@st.composite
def any_group(draw):
    before = draw(st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), words), max_size=2))
    prompt = Prompt((*before, Message("user", draw(said))), draw(words), draw(words))
    completion = st.builds(Completion, st.just(prompt.id), words, words, words, jsonable, whole, words)
    completions = draw(st.lists(completion, max_size=4, unique_by=lambda completion: completion.id))
    lengths = {completion.id: len(completion.text) for completion in completions}
    some = st.lists(rankings(prompt, lengths), max_size=3, unique_by=lambda one: one.submission)
    found = draw(some) if len(completions) > 1 else []
    written = draw(
        st.lists(
            st.builds(
                Demonstration,
                st.just(prompt.id),
                said,
                words.filter(bool),
                st.sampled_from([None, *lengths]),
                st.sampled_from(["", *(ranking.submission for ranking in found)]),
                whole,
                st.sampled_from(["person", "import", "model"]),
                words,
                whole,
            ),
            max_size=2,
            unique_by=lambda one: one.id,
        )
    )
    if found and draw(st.booleans()):
        first = found[0]
        changed = {"outcome": "skipped", "shown": first.shown, "revises": first.submission, "reason": draw(words)}
        found.append(Ranking(prompt.id, first.annotator, **changed))
    return Group(prompt, tuple(completions), tuple(found), tuple(written))


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory):
    """Return the file of an empty store: a copy of it opens sooner than a new one is made."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    open_store(path).dispose()
    return path


some_groups = st.lists(any_group(), min_size=1, max_size=3, unique_by=lambda group: group.prompt.id)


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
