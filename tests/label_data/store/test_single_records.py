"""Records are stored once; imports store all or nothing."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import event

from label_data.comparisons import comparisons
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.oversight.check import problems
from label_data.oversight.progress import item_counts, newest_prompts, rankings_today, store_counts, untouched_ready
from label_data.records import Group, Ranking, user_prompt
from label_data.store.adding import Added, GroupError, add_groups, add_prompts
from label_data.store.annotators import annotator_with_id, find_or_add_annotator
from label_data.store.samples import retry_failed, save_samples, waiting_prompts
from label_data.store.single_records import save_ranking
from label_data.store.stored_groups import groups
from store_fixtures import add_ready_prompt, completions_of, on_sqlite


def imported_group(question="Why?", annotator="file", submission=""):
    prompt = user_prompt(question)
    good, bad = completions_of(prompt, "Because.", "No.")
    ranking = Ranking(
        prompt.id, annotator, (good.id, bad.id), ((good.id,), (bad.id,)), source="import", submission=submission
    )
    return Group(prompt, (good, bad), (ranking,))


def test_a_prompt_added_twice_is_stored_once(store):
    assert add_prompts(store, [user_prompt("Why?"), user_prompt("Why?", category="other")]) == 1
    assert add_prompts(store, [user_prompt("Why?")]) == 0
    assert store_counts(store) == Added(prompts=1)


def test_prompts_await_completions_in_the_order_they_were_added(store):
    add_prompts(store, [user_prompt("First?"), user_prompt("Second?"), user_prompt("Third?")])
    assert [prompt.messages[0].content for prompt in waiting_prompts(store, 2)] == ["First?", "Second?"]
    assert [prompt.messages[0].content for prompt, state in newest_prompts(store, 2)] == ["Third?", "Second?"]


def test_sampled_prompts_are_ready(store):
    prompt = user_prompt("Why?")
    add_prompts(store, [prompt])
    assert save_samples(store, prompt, completions_of(prompt, "a", "b")) == "ready"
    assert waiting_prompts(store, 9) == []
    assert untouched_ready(store) == 1


def test_a_prompt_sampled_by_another_worker_meanwhile_stays_as_it_is(store):
    prompt = add_ready_prompt(store, "Why?", "a", "b")
    assert save_samples(store, prompt, completions_of(prompt, "c", "d", "e")) == "ready"
    assert [completion.text for completion in next(groups(store)).completions] == ["a", "b"]


def test_a_prompt_with_equal_completions_fails_until_it_is_sampled_again(store):
    prompt = user_prompt("Why?")
    add_prompts(store, [prompt])
    assert save_samples(store, prompt, completions_of(prompt, "same", " same\n")) == "failed"
    assert item_counts(store)["failed"] == 1
    assert retry_failed(store) == 1
    assert waiting_prompts(store, 9) == [prompt]


def test_importing_the_same_groups_twice_adds_nothing_the_second_time(store):
    assert add_groups(store, [imported_group()]) == Added(1, 2, 1)
    assert add_groups(store, [imported_group()]) == Added()


def test_groups_survive_a_round_trip_through_the_store(store):
    first, second = imported_group("One?"), imported_group("Two?", "someone")
    add_groups(store, [first, second])
    kept = list(groups(store))
    assert [group.prompt for group in kept] == [first.prompt, second.prompt]
    assert [group.completions for group in kept] == [first.completions, second.completions]
    assert [group.rankings[0].judgement for group in kept] == [g.rankings[0].judgement for g in (first, second)]


def test_imported_rankings_make_their_prompts_ranked(store):
    add_groups(store, [imported_group()])
    assert item_counts(store) == {"waiting": 0, "ready": 0, "ranked": 1, "failed": 0}


def test_an_import_keeps_the_order_of_its_groups_and_counts_what_comes_twice_once(store):
    """Old, new and repeated groups in turn: 1 is there, 2 comes twice, the second time with a third completion and a
    second ranking, and 4 twice the same. Prompts are numbered in the order in which they first came.
    """
    one, two, three, four = (imported_group(f"{number}?") for number in range(1, 5))
    add_groups(store, [one])
    more = completions_of(two.prompt, "Because.", "No.", "Perhaps.")
    shown = tuple(completion.id for completion in more)
    other = Ranking(two.prompt.id, "other", shown, ((shown[2],), shown[:2]), source="import")
    again = Group(two.prompt, tuple(more), (*two.rankings, other))
    seen = []
    added = add_groups(store, [two, one, three, again, four, four], on_progress=seen.append)
    assert added == Added(prompts=3, completions=2 + 2 + 1 + 2, rankings=1 + 1 + 1 + 1)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert [group.prompt.messages[0].content for group in groups(store)] == ["1?", "2?", "3?", "4?"]
    assert [len(group.rankings) for group in groups(store)] == [1, 2, 1, 1]
    assert list(problems(store)) == []
    assert add_groups(store, [again, four, one]) == Added()


def test_a_new_group_that_revises_its_own_ranking_is_stored_in_order(store):
    group = imported_group(submission="s-1")
    first = group.rankings[0]
    revision = replace(first, order=first.order[::-1], revises="s-1", submission="s-2")
    assert add_groups(store, [replace(group, rankings=(first, revision))]) == Added(1, 2, 2)
    assert [ranking.submission for ranking in next(groups(store)).rankings] == ["s-2"]
    assert list(problems(store)) == []


def test_a_new_group_that_names_one_ranking_twice_keeps_it_once(store):
    group = imported_group()
    assert add_groups(store, [replace(group, rankings=group.rankings * 2)]) == Added(1, 2, 1)


@pytest.mark.parametrize("where", ["in the store", "earlier in the import"])
def test_a_submission_that_comes_again_for_another_prompt_is_refused_with_the_group_it_came_with(store, where):
    first, second = imported_group("1?", submission="s-1"), imported_group("2?", submission="s-1")
    if where == "in the store":
        add_groups(store, [first])
    before = store_counts(store)
    with pytest.raises(GroupError, match="s-1 is stored already with another judgement") as caught:
        add_groups(store, [imported_group("0?"), *([] if where == "in the store" else [first]), second])
    assert caught.value.number == (2 if where == "in the store" else 3)
    assert store_counts(store) == before


def test_imports_larger_than_a_look_up_are_complete(store, monkeypatch):
    monkeypatch.setattr("label_data.store.adding.BATCH_GROUPS", 3)
    monkeypatch.setattr("label_data.store.adding.MOST_VALUES", 2)
    many = [imported_group(f"{number}?") for number in range(7)]
    assert add_groups(store, many) == Added(7, 14, 7)
    assert add_groups(store, [*many, imported_group("new?")]) == Added(1, 2, 1)
    assert list(problems(store)) == []


def test_a_stored_ranking_becomes_gold_when_a_file_says_so(store):
    group = imported_group(submission="s-1")
    add_groups(store, [group])
    assert next(groups(store)).rankings[0].purpose == ""
    key = replace(group, rankings=(replace(group.rankings[0], purpose="key"),))
    assert add_groups(store, [key]) == Added()
    assert next(groups(store)).rankings[0].purpose == "key"
    assert add_groups(store, [key, group]) == Added()


def test_an_error_half_way_leaves_the_store_as_it_was(store):
    def broken():
        yield imported_group("One?")
        raise InputError("label_data.plain.text", text="line 2 is no good")

    with pytest.raises(InputError, match="line 2"):
        add_groups(store, broken())
    assert store_counts(store) == Added()


@pytest.mark.parametrize(
    "error", [InputError("label_data.plain.text", text="here"), KeyboardInterrupt("here")], ids=repr
)
def test_an_error_while_earlier_groups_are_being_stored_leaves_the_store_as_it_was_and_open(store, monkeypatch, error):
    monkeypatch.setattr("label_data.store.adding.BATCH_GROUPS", 2)

    def broken():
        yield from (imported_group(f"{number}?") for number in range(5))
        raise error

    with pytest.raises(type(error), match="here"):
        add_groups(store, broken())
    assert store_counts(store) == Added()
    assert add_groups(store, [imported_group("0?")]) == Added(1, 2, 1)


def test_of_two_errors_the_first_is_raised_although_the_next_groups_are_read_meanwhile(store, monkeypatch):
    monkeypatch.setattr("label_data.store.adding.BATCH_GROUPS", 1)
    first, second = imported_group("1?", submission="s-1"), imported_group("2?", submission="s-1")

    def broken():
        yield from (first, second)
        raise InputError("label_data.plain.text", text="line 3 is no good")

    with pytest.raises(GroupError, match="s-1 is stored already") as caught:
        add_groups(store, broken())
    assert caught.value.number == 2
    assert store_counts(store) == Added()


def test_long_texts_make_smaller_batches(store, monkeypatch):
    """Each group has 2 + 8 + 3 characters, so two reach 16 and are looked up together: five groups in three goes."""
    monkeypatch.setattr("label_data.store.adding.BATCH_CHARACTERS", 16)
    statements = []
    event.listen(store, "before_cursor_execute", lambda *about: statements.append(about[2]))
    assert add_groups(store, [imported_group(f"{number}?") for number in range(5)]).prompts == 5
    assert len([message for message in statements if message.startswith("SELECT prompts.id")]) == 3


def test_a_repeated_submission_is_stored_once(store):
    group = imported_group(submission="s-1")
    add_groups(store, [group])
    assert save_ranking(store, group.rankings[0]) == "repeat"
    assert store_counts(store).rankings == 1


def test_a_submission_sent_again_with_other_content_is_refused(store):
    group = imported_group(submission="s-1")
    add_groups(store, [group])
    ranking = group.rankings[0]
    changed = Ranking(ranking.prompt_id, "file", ranking.shown, ranking.order[::-1], submission="s-1")
    with pytest.raises(InputError, match="stored already with another judgement"):
        save_ranking(store, changed)
    assert next(groups(store)).rankings == group.rankings


def test_a_revision_replaces_the_ranking_for_readers_and_both_are_kept(store):
    group = imported_group(submission="s-1")
    add_groups(store, [group])
    first = group.rankings[0]
    revision = Ranking(
        first.prompt_id, "file", first.shown, first.order[::-1], revises="s-1", source="import", submission="s-2"
    )
    assert save_ranking(store, revision) == "saved"
    (current,) = next(groups(store)).rankings
    assert [pair.chosen for pair in comparisons(current)] == [first.order[1][0]]
    assert store_counts(store).rankings == 2


def test_a_ranking_can_be_revised_once_so_that_two_tabs_cannot_fork_it(store):
    group = imported_group(submission="s-1")
    add_groups(store, [group])
    shown, order = group.rankings[0].shown, group.rankings[0].order
    save_ranking(store, Ranking(group.prompt.id, "file", shown, order, revises="s-1", submission="s-2"))
    with pytest.raises(InputError, match="edited already"):
        save_ranking(store, Ranking(group.prompt.id, "file", shown, order[::-1], revises="s-1", submission="s-3"))


def test_only_a_stored_ranking_can_be_revised(store):
    group = imported_group()
    add_groups(store, [group])
    lost = Ranking(group.prompt.id, "file", group.rankings[0].shown, outcome="all_bad", revises="nothing")
    with pytest.raises(InputError, match="is not stored, so it can't be edited"):
        save_ranking(store, lost)


def test_case_and_white_space_of_a_name_do_not_make_another_annotator(store):
    ann = find_or_add_annotator(store, "Ann  Example")
    assert find_or_add_annotator(store, " ann example ") == ann
    assert annotator_with_id(store, ann.id) == ann
    assert find_or_add_annotator(store, "Bob").id != ann.id
    assert annotator_with_id(store, "nobody") is None


@on_sqlite
@pytest.mark.parametrize("name", ["", "   ", "a\0b", "x" * 201])
def test_an_invalid_name_is_refused(store, name):
    with pytest.raises(InputError):
        find_or_add_annotator(store, name)


def test_the_count_of_the_day_leaves_skips_out(ranked_store):
    ann = find_or_add_annotator(ranked_store, "Ann")
    assert rankings_today(ranked_store, ann.id) == 1
    shown = next(groups(ranked_store)).rankings[0].shown
    prompt_id = next(groups(ranked_store)).prompt.id
    save_ranking(ranked_store, Ranking(prompt_id, ann.id, shown, outcome="skipped", reason="no idea"))
    assert rankings_today(ranked_store, ann.id) == 1


def test_many_concurrent_writers_lose_nothing_and_get_no_lock_error(tmp_path):
    """Four connections each add 25 prompts of their own; deferred transactions would meet "database is locked"."""
    path = tmp_path / "store.db"
    open_store(path)
    failures = []

    def write(writer):
        try:
            store = open_store(path)
            for number in range(25):
                add_prompts(store, [user_prompt(f"Writer {writer} asks {number}?")])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store_counts(open_store(path)).prompts == 100


def test_a_reader_sees_a_snapshot_while_others_write(store):
    add_ready_prompt(store, "One?")
    reader = groups(store)
    first = next(reader)
    add_ready_prompt(store, "Two?")
    assert [first, *reader] == [first]
    assert len(list(groups(store))) == 2
