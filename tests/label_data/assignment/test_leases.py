"""Leases: which tasks an annotator gets next, when they expire, and what that costs after many rankings."""

import dataclasses
import itertools
import threading

import psycopg
import pytest
from sqlalchemy import bindparam, event, select

from label_data.assignment.answers import Answer, _submit, submit, submit_then_next
from label_data.assignment.drafts import save_draft
from label_data.assignment.leases import GRACE, SECOND, _expired, release_tasks, shorten_leases
from label_data.assignment.own_rankings import retract
from label_data.assignment.tasks import next_tasks
from label_data.database import schema
from label_data.database.engine import open_store, reading, writing
from label_data.oversight.check import problems
from label_data.oversight.progress import rankings_today
from label_data.records import Group, user_prompt
from label_data.settings import ProjectSettings
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import save_settings
from label_data.store.stored_groups import groups
from moving_clock import Clock
from store_fixtures import add_ready_prompt, completions_of, let_leases_run_out


@pytest.fixture
def ann(store):
    return find_or_add_annotator(store, "Ann").id


@pytest.fixture
def bob(store):
    return find_or_add_annotator(store, "Bob").id


def question(task):
    return task.prompt.messages[0].content


def rank_next(store, who):
    """Rank the first open task as all bad; return its question, or None if there is none."""
    tasks = next_tasks(store, who)
    if not tasks:
        return None
    submit(store, Answer(tasks[0].token, tasks[0].token, "all_bad"), who)
    return question(tasks[0])


def add_prompts_named(store, count, start=0):
    prompts = [user_prompt(f"Question {number}?") for number in range(start, start + count)]
    add_groups(store, [Group(prompt, tuple(completions_of(prompt, "a", "b"))) for prompt in prompts])
    return [prompt.messages[0].content for prompt in prompts]


# Order of work


def test_added_finishes_prompts_one_after_another(store, ann, bob):
    save_settings(store, ProjectSettings(annotators_per_prompt=2))
    questions = add_prompts_named(store, 3)
    assert [rank_next(store, ann) for _ in range(3)] == questions
    assert [rank_next(store, bob) for _ in range(3)] == questions


def test_fewest_gives_every_prompt_one_ranking_before_any_gets_two(store, ann, bob):
    """Each holds two at a time: Ann has the first two, so Bob begins with the third and ends with Ann's."""
    save_settings(store, ProjectSettings(annotators_per_prompt=2, order_of_work="fewest"))
    questions = add_prompts_named(store, 5)
    next_tasks(store, ann)
    assert [rank_next(store, bob) for _ in range(5)] == [*questions[2:], *questions[:2]]


def test_fewest_requeues_a_prompt_that_an_annotator_gets_again_after_its_lease_expired(store, ann, bob):
    save_settings(store, ProjectSettings(annotators_per_prompt=2, order_of_work="fewest"))
    questions = add_prompts_named(store, 2)
    next_tasks(store, ann)
    let_leases_run_out(store)
    assert next_tasks(store, bob, count=1) != []
    assert [question(task) for task in next_tasks(store, ann)] == questions
    assert list(problems(store)) == []


def test_random_gives_each_annotator_all_prompts_in_an_order_of_their_own(store, ann, bob):
    """Of 12! orders each draws one: that both draw that of adding, or the same, is one chance in 240 million."""
    save_settings(store, ProjectSettings(annotators_per_prompt=2, order_of_work="random"))
    questions = add_prompts_named(store, 12)
    orders = [[rank_next(store, annotator) for _ in range(12)] for annotator in (ann, bob)]
    assert [sorted(order) for order in orders] == [sorted(questions)] * 2
    assert len({tuple(order) for order in [*orders, questions]}) == 3


# Repeats


@pytest.fixture
def repeating(store):
    """Half of the tasks are repeats, at least three tasks after the first."""
    save_settings(store, ProjectSettings(repeat_share=0.5, repeat_gap=3))
    add_prompts_named(store, 24)
    return store


def test_repeats_come_after_the_gap_once_each_in_another_order(repeating, ann):
    """Some 24 of 48 draws are repeats; that none is has a chance of 2 ** -40."""
    given = [rank_next(repeating, ann) for _ in iter(lambda: next_tasks(repeating, ann) != [], False)]
    places = {one: [place for place, other in enumerate(given) if other == one] for one in given}
    twice = [result for result in places.values() if len(result) > 1]
    assert twice
    assert all(len(result) == 2 and result[1] - result[0] >= 3 for result in twice)
    assert len(places) == 24
    for group in groups(repeating):
        first, *again = group.rankings
        assert first.purpose == ""
        assert [ranking.purpose for ranking in again] == ["repeat"] * len(again)
        assert all(ranking.shown == first.shown[::-1] for ranking in again)  # two have one other order
    assert list(problems(repeating)) == []


def test_a_repeat_is_assisted_if_policies_were_revealed(store, ann):
    save_settings(store, ProjectSettings(repeat_share=0.5, repeat_gap=1, reveal_policies=True))
    add_prompts_named(store, 24)
    while rank_next(store, ann):
        pass
    rankings = [ranking for group in groups(store) for ranking in group.rankings]
    assert {ranking.purpose: ranking.assisted for ranking in rankings} == {"": False, "repeat": True}


def test_withdrawn_and_skipped_prompts_are_not_repeated(repeating, ann):
    for outcome in itertools.islice(itertools.cycle(("all_bad", "skipped")), 8):
        (task, *_) = next_tasks(repeating, ann)
        submit(repeating, Answer(task.token, task.token, outcome), ann)
        if outcome == "all_bad":
            retract(repeating, task.token, ann)
    while rank_next(repeating, ann):
        pass
    with reading(repeating) as connection:
        repeated = connection.exec_driver_sql(
            "SELECT first.state FROM tasks JOIN tasks AS first ON first.item = tasks.item "
            "WHERE tasks.purpose = 'repeat' AND first.purpose = ''"
        )
        assert set(repeated.scalars()) <= {"done"}


def test_a_task_does_not_show_that_it_is_a_repeat_or_a_gold_prompt(repeating, ann):
    """A page gets Task records: their fields are the same for every purpose, and none holds one."""
    fields = {"token", "prompt", "completions", "annotator", "assigned", "draft"}
    while tasks := next_tasks(repeating, ann):
        for task in tasks:
            assert {field.name for field in dataclasses.fields(task)} == fields
            assert "repeat" not in repr(task)
        rank_next(repeating, ann)


# Leaving


@pytest.fixture
def timed(sqlite_store):
    """A store in SQLite whose clock the test moves, with two prompts."""
    store = open_store(sqlite_store)
    clock = Clock(store)
    add_prompts_named(store, 2)
    yield store, clock
    store.dispose()


def test_tasks_stay_for_a_minute_after_the_page_is_left_so_that_a_reload_shows_them(timed):
    store, clock = timed
    ann, bob = (find_or_add_annotator(store, name).id for name in ("Ann", "Bob"))
    first = next_tasks(store, ann)
    assert shorten_leases(store, ann) == 2
    clock.pass_by(GRACE / SECOND - 1)
    assert next_tasks(store, bob) == []
    assert next_tasks(store, ann) == first
    clock.pass_by(29 * 60)
    assert next_tasks(store, bob) == []
    assert shorten_leases(store, ann) == 2
    clock.pass_by(GRACE / SECOND + 1)
    assert [question(task) for task in next_tasks(store, bob)] == ["Question 0?", "Question 1?"]


def test_a_task_with_a_draft_keeps_its_whole_lease(timed):
    store, clock = timed
    ann, bob = (find_or_add_annotator(store, name).id for name in ("Ann", "Bob"))
    (begun, _) = next_tasks(store, ann)
    clock.pass_by(20 * 60)
    assert save_draft(store, begun.token, ann, {"at": 1, "revises": None})
    assert shorten_leases(store, ann) == 1
    clock.pass_by(29 * 60)
    assert [question(task) for task in next_tasks(store, bob)] == ["Question 1?"]
    clock.pass_by(2 * 60)
    assert len(next_tasks(store, bob)) == 2


def test_a_lease_restarts_when_its_annotator_asks_again_after_a_minute(timed):
    store, clock = timed
    ann, bob = (find_or_add_annotator(store, name).id for name in ("Ann", "Bob"))

    def ends():
        with reading(store) as connection:
            return connection.scalars(select(schema.tasks.c.expires_us)).all()

    own_tasks, given = next_tasks(store, ann), ends()
    clock.pass_by(50)
    assert (next_tasks(store, ann), ends()) == (own_tasks, given)
    clock.pass_by(20)
    assert next_tasks(store, ann) == own_tasks
    assert all(end > before + 69 * SECOND for end, before in zip(ends(), given, strict=True))
    clock.pass_by(29 * 60)
    assert next_tasks(store, bob) == []


def test_a_lease_longer_than_the_current_timeout_is_shortened_when_its_annotator_asks_again(timed):
    store, clock = timed
    ann, bob = (find_or_add_annotator(store, name).id for name in ("Ann", "Bob"))
    own_tasks = next_tasks(store, ann)
    save_settings(store, ProjectSettings(lease_minutes=5))
    assert next_tasks(store, ann) == own_tasks
    clock.pass_by(6 * 60)
    assert len(next_tasks(store, bob)) == 2


def test_a_clock_set_back_a_year_does_not_block_prompts(timed):
    store, clock = timed
    ann, bob = (find_or_add_annotator(store, name).id for name in ("Ann", "Bob"))
    next_tasks(store, ann)
    clock.pass_by(-365 * 86_400)
    assert len(next_tasks(store, bob)) == 2
    assert list(problems(store)) == []


def test_an_annotators_expired_task_comes_first_again_if_nobody_took_it(timed):
    """Bob takes Ann's prompts back and one of them himself; she finds the other before a new one."""
    store, clock = timed
    add_prompts_named(store, 3, start=2)
    ann, bob = (find_or_add_annotator(store, name).id for name in ("Ann", "Bob"))
    own_tasks = next_tasks(store, ann)
    clock.pass_by(31 * 60)
    taken = [question(task) for task in next_tasks(store, bob)]
    assert taken == ["Question 2?", "Question 3?"]
    assert next_tasks(store, ann) == own_tasks


@pytest.mark.parametrize("how", _expired)
def test_postgresql_reads_its_clock_once_to_find_expired_leases(postgres_store, how):
    """That clock moves within a statement: read for each row, it can't be looked up in the index of open leases."""
    store = open_store(postgres_store)
    with reading(store) as connection:
        lapsed = select(schema.tasks.c.number).where(schema.is_open, how)
        text = lapsed.compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.exec_driver_sql(f"EXPLAIN {text}").scalars().all()
    store.dispose()
    assert "clock_timestamp" not in "\n".join(plan)


# A veteran


def steps_of(store, act):
    """Return how many instructions SQLite's machine ran, to within ten, while this was done."""
    counted = [0]

    def count():
        counted[0] += 10
        return 0

    driver = store.raw_connection().driver_connection
    driver.set_progress_handler(count, 10)
    act()
    driver.set_progress_handler(None, 10)
    return counted[0]


@pytest.mark.parametrize("order", ["added", "random", "fewest"])
def test_the_next_task_takes_as_many_steps_after_many_rankings_as_after_none(sqlite_store, order):
    """With 1,200 prompts that three are asked for, Vera has ranked 1,000, each still to be had by others.

    A look at each of those would be some ten thousand steps more; the two differ by less than a third.
    """
    store = open_store(sqlite_store)
    save_settings(store, ProjectSettings(annotators_per_prompt=3, order_of_work=order))
    add_prompts_named(store, 1_200)
    vera, newcomer = (find_or_add_annotator(store, name).id for name in ("Vera", "Nat"))
    give_rankings(store, vera, 1_000)
    steps = {}
    for who in (vera, newcomer):
        for _ in range(4):
            rank_next(store, who)
        steps[who] = min(steps_of(store, lambda who=who: rank_next(store, who)) for _ in range(5))
        rankings_today(store, who)
    assert steps[newcomer] > 500
    assert steps[vera] < steps[newcomer] * 4 / 3
    today = [steps_of(store, lambda who=who: rankings_today(store, who)) for who in (vera, newcomer)]
    assert today[0] < today[1] + 500
    store.dispose()


def give_rankings(store, who, count):
    """Let the annotator have ranked the first `count` items, a day ago, by one statement a table."""
    day = 86_400 * SECOND
    with writing(store) as connection:
        run = connection.exec_driver_sql
        run(
            "INSERT INTO tasks (token, item, annotator, shown, state, assigned_us, expires_us, counted, turn) "
            "SELECT 't' || number, number, ?, (SELECT json_group_array(id) FROM completions AS c "
            "WHERE c.prompt_id = items.prompt_id), 'done', 0, 0, 1, number FROM items WHERE number <= ?",
            (who, count),
        )
        run("INSERT INTO cursors VALUES ('default', ?, 0, ?)", (who, count))
        run("UPDATE items SET done = 1 WHERE number <= ?", (count,))
        sha = "0" * 64
        run(
            "INSERT INTO rankings (submission, judgement_sha256, prompt_id, annotator, task, shown, [order], outcome, "
            "strength, flags, reason, assisted, source, project, stored_us, item) SELECT token, ?, prompt_id, ?, "
            "token, shown, '[]', 'all_bad', '[]', '{}', '', 0, 'person', 'default', "
            f"CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) - {day}, items.number "
            "FROM tasks JOIN items ON items.number = tasks.item",
            (sha, who),
        )


def test_a_task_opened_again_goes_to_the_end_of_the_queue_too(store, ann):
    """In the order "fewest": Ann's two lapse, are taken back when Bob asks, and are hers again when she does."""
    save_settings(store, ProjectSettings(annotators_per_prompt=2, order_of_work="fewest"))
    for question in ("One?", "Two?"):
        add_ready_prompt(store, question, "a", "b")
    hers = {task.token for task in next_tasks(store, ann)}
    with writing(store) as connection:
        connection.exec_driver_sql("UPDATE tasks SET expires_us = 0")
    assert len(next_tasks(store, find_or_add_annotator(store, "Bob").id)) == 2
    assert {task.token for task in next_tasks(store, ann)} == hers
    assert list(problems(store)) == []


# Locks of PostgreSQL: whoever waits for a lock must hold none that its holder will want


@pytest.fixture
def waits(postgres_store):
    """Return what starts a call beside an open transaction and returns its thread once it waits for a lock."""

    def start(call):
        thread = threading.Thread(target=call)
        thread.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        with psycopg.connect(postgres_store, autocommit=True) as connection:
            while not connection.execute(waiting).fetchone()[0]:
                assert thread.is_alive(), "it did not wait"
        return thread

    return start


@pytest.fixture
def two_tasks(postgres_store):
    """A store and Ann's two tasks, of which the first was changed last: PostgreSQL, without indexes, finds it last.

    Leases are shorter now than hers, so that they are renewed when she asks.
    """
    with psycopg.connect(postgres_store, autocommit=True) as connection:
        for plan in ("indexscan", "bitmapscan"):
            connection.execute(f"ALTER DATABASE {connection.info.dbname} SET enable_{plan} = off")
    store = open_store(postgres_store)
    for question in ("One?", "Two?"):
        add_ready_prompt(store, question, "a", "b")
    ann = find_or_add_annotator(store, "Ann").id
    tasks = next_tasks(store, ann)
    for at, task in enumerate(tasks[::-1]):
        assert save_draft(store, task.token, ann, {"at": at, "revises": None})
    save_settings(store, ProjectSettings(lease_minutes=5))
    yield store, ann, [task.token for task in tasks]
    store.dispose()


_LOCKED = select(schema.tasks.c.token).where(schema.tasks.c.token == bindparam("one"))


@pytest.mark.parametrize("call", [next_tasks, shorten_leases])
def test_several_tasks_are_locked_by_ascending_number(two_tasks, waits, call):
    store, ann, (first, second) = two_tasks
    with writing(store, concurrently=True) as connection:
        connection.execute(_LOCKED.with_for_update(), {"one": first})
        thread = waits(lambda: call(store, ann))
        connection.execute(_LOCKED.with_for_update(nowait=True), {"one": second})
    thread.join()


def test_an_answer_with_the_next_tasks_locks_the_cursor_before_its_item(two_tasks, waits):
    store, ann, (token, _) = two_tasks
    cursor, item = select(schema.cursors), select(schema.items).order_by(schema.items.c.number).limit(1)
    with writing(store, concurrently=True) as connection:
        connection.execute(cursor.with_for_update())
        thread = waits(lambda: submit_then_next(store, Answer(token, token, "all_bad"), ann))
        connection.execute(item.with_for_update(nowait=True))
    thread.join()


def test_an_answer_locks_its_item_before_its_task(two_tasks, waits):
    store, ann, (token, _) = two_tasks
    with writing(store, concurrently=True) as connection:
        connection.execute(_LOCKED.with_for_update(), {"one": token})
        thread = waits(lambda: submit(store, Answer(token, token, "all_bad"), ann))
        free = select(schema.items.c.number).with_for_update(skip_locked=True)
        assert len(connection.execute(free).all()) == 1
    thread.join()


def test_a_transaction_with_a_submitted_item_waits_for_no_other_item(two_tasks, caplog):
    """Of what others have locked the next tasks are not made: they are asked for afterwards, when nothing is held."""
    store, ann, (token, _) = two_tasks
    event.listen(store, "begin", lambda connection: connection.exec_driver_sql("SET LOCAL lock_timeout = '3s'"))
    prompt = add_ready_prompt(store, "Three?", "a", "b")
    with writing(store, concurrently=True) as connection:
        third = select(schema.items).where(schema.items.c.prompt_id == prompt.id)
        connection.execute(third.with_for_update()).one()
        assert submit_then_next(store, Answer(token, token, "all_bad"), ann) == ("saved", [])
    assert caplog.records == []
    assert [question(task) for task in next_tasks(store, ann)] == ["Two?", "Three?"]


def test_a_draft_locks_its_task_before_itself_as_a_ranking_does(two_tasks, waits):
    store, ann, (token, _) = two_tasks
    with writing(store, concurrently=True) as connection:
        connection.execute(_LOCKED.with_for_update(), {"one": token})
        thread = waits(lambda: save_draft(store, token, ann, {"at": 5, "revises": None}))
        of_task = schema.drafts.c.task == token
        connection.execute(select(schema.drafts).where(of_task).with_for_update(nowait=True))
    thread.join()


def test_a_task_released_while_the_next_are_picked_is_opened_again(postgres_store):
    """Since the outlook was read she has a task that ended; to make another one of it would break a constraint."""
    store = open_store(postgres_store)
    add_ready_prompt(store, "One?", "a", "b")
    ann = find_or_add_annotator(store, "Ann").id
    (task,) = next_tasks(store, ann)
    others = iter([lambda: release_tasks(store, [task.token])])

    def before_picking(_connection, _cursor, statement, _parameters, _context, _many):
        if "SKIP LOCKED" in statement and "completions" in statement and (act := next(others, None)):
            thread = threading.Thread(target=act)
            thread.start()
            thread.join()

    event.listen(store, "before_cursor_execute", before_picking)
    assert [next_task.token for next_task in next_tasks(store, ann)] == [task.token]
    assert next(others, None) is None
    assert list(problems(store)) == []
    store.dispose()


def test_a_task_that_is_answered_late_while_its_prompt_is_picked_is_not_given_again(postgres_store, waits):
    """Who picks waits for the prompt, and sees the task as it was before it waited: ended, and not answered."""
    store = open_store(postgres_store)
    save_settings(store, ProjectSettings(annotators_per_prompt=3))
    add_ready_prompt(store, "One?", "a", "b")
    ann = find_or_add_annotator(store, "Ann").id
    (task,) = next_tasks(store, ann)
    release_tasks(store, [task.token])
    given = []
    with writing(store, concurrently=True) as connection:
        message, _ = _submit(connection, Answer(task.token, "late", "all_bad"), ann)
        thread = waits(lambda: given.append(next_tasks(store, ann)))
    thread.join()
    assert (message, given) == ("saved", [[]])
    assert list(problems(store)) == []
    store.dispose()
