"""Whatever annotators do in whatever order, and whatever the clock does: nothing lost, nothing doubled, none over N.

A state machine beside a model in plain Python, on both back ends. Small here; at large with
WORKBENCH_EXAMPLES=2000 python -m pytest tests/label_data/assignment/test_assignment_machine.py
"""

import os
from dataclasses import dataclass, field
from itertools import combinations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from label_data.assignment.answers import Answer, submit, submit_then_next
from label_data.assignment.drafts import save_draft
from label_data.assignment.gold import mark_gold, unmark_gold
from label_data.assignment.leases import shorten_leases
from label_data.assignment.own_rankings import retract
from label_data.assignment.relabelling import RelabellingRequest, request_relabelling
from label_data.assignment.tasks import TASKS_HELD, next_tasks
from label_data.database import schema
from label_data.database.engine import reading
from label_data.errors import InputError
from label_data.oversight.check import problems
from label_data.settings import ProjectSettings
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import save_settings
from label_data.store.stored_groups import groups
from moving_clock import Clock
from store_fixtures import add_ready_prompt

EXAMPLES = int(os.environ.get("WORKBENCH_EXAMPLES", "12"))
LEASE, FRESH, GRACE, TOO_LONG = 1800.0, 60.0, 60.0, 2 * 86_400.0
PEOPLE = ("Ann", "Bob", "Cyn")
people = st.sampled_from(PEOPLE)
picks = st.integers(0, 10_000)


@dataclass
class ModelTask:
    """What must be true of one task."""

    token: str
    item: str
    who: str
    purpose: str
    number: int
    state: str = "open"
    expires: float = 0.0
    counted: bool = False
    drafted: bool = False
    chain: list[tuple[str, str]] = field(default_factory=list)
    """(submission, outcome), the newest last."""


class Assignment(RuleBasedStateMachine):
    """Annotators, a project whose settings change, and a clock that jumps."""

    def __init__(self, store):
        super().__init__()
        self.store = store
        self.clock = Clock(self.store)
        self.tasks: dict[str, ModelTask] = {}
        self.gold: dict[str, str] = {}
        self.least: dict[str, int] = {}
        self.acknowledged: dict[str, str] = {}
        self.prompts = self.sent = 0
        self.asked = self.most_asked = 1

    def teardown(self):
        result = list(problems(self.store))
        self.store.dispose()
        assert result == []

    @initialize(order=st.sampled_from(["added", "random", "fewest"]), tests=st.booleans())
    def begin(self, order, tests):
        shares = {"repeat_share": 0.25, "gold_share": 0.25, "repeat_gap": 2} if tests else {}
        self.settings = {"order_of_work": order} | shares
        save_settings(self.store, ProjectSettings(**self.settings))
        self.ids = {name: find_or_add_annotator(self.store, name).id for name in PEOPLE}
        for _ in range(3):
            self.add_prompt()

    @rule()
    def add_prompt(self):
        self.prompts += 1
        add_ready_prompt(self.store, f"Question {self.prompts}?", "a", "b")

    @rule(asked=st.integers(1, 3))
    def ask_for(self, asked):
        save_settings(self.store, ProjectSettings(annotators_per_prompt=asked, **self.settings))
        self.asked, self.most_asked = asked, max(asked, self.most_asked)
        for item in {task.item for task in self.tasks.values()} - self.gold.keys():
            self.count_late(item)

    @rule(seconds=st.sampled_from([0.7, 31.3, 61.9, 1801.1, 90_000.3, -7200.9, -900_000.7]))
    def move_clock(self, seconds):
        self.clock.pass_by(seconds)

    # What is asked for

    @rule(who=people)
    def ask(self, who):
        for task in self.lapsed_but_of(who):
            task.state = "expired"
            self.count_late(task.item)
        self.is_given(who, next_tasks(self.store, self.ids[who]))

    def lapsed_but_of(self, who):
        now, open_of_others = self.clock.seconds, [task for task in self.tasks.values() if task.state == "open"]
        return [task for task in open_of_others if task.who != who and not now < task.expires <= now + TOO_LONG]

    def is_given(self, who, found):
        held = [task for task in self.tasks.values() if task.who == who and task.state == "open"]
        assert len(found) <= TASKS_HELD
        tokens = [task.token for task in found]
        assert {task.token for task in held} <= set(tokens)
        new = set(tokens) - {task.token for task in held}
        for token in new:
            self.take(token, who)
        if len(found) < TASKS_HELD:  # a repeat or a gold prompt comes in place of a prompt that was there
            tests = [token for token in new if self.tasks[token].purpose]
            assert sum(self.is_free_for(item, who) for item in self.items()) <= len(tests)
        least = min((task.expires for task in held), default=0) - self.clock.seconds
        for token in new if LEASE - FRESH <= least <= LEASE else tokens:
            self.tasks[token].expires = self.clock.seconds + LEASE

    @rule(order=st.permutations(PEOPLE), seconds=st.sampled_from([0, 61.9, 1801.1]))
    def all_ask_after_a_break(self, order, seconds):
        self.move_clock(seconds)
        for annotator in order:
            self.ask(annotator)

    def take(self, token, who):
        with reading(self.store) as connection:
            row = connection.execute(
                select(schema.tasks, schema.items.c.prompt_id)
                .join(schema.items, schema.items.c.number == schema.tasks.c.item)
                .where(schema.tasks.c.token == token)
            ).one()
        own_tasks = [task for task in self.tasks.values() if task.who == who and task.item == row.prompt_id]
        if row.purpose == "":
            assert self.is_free_for(row.prompt_id, who)
        elif row.purpose == "gold":
            assert row.prompt_id in self.gold
            assert all(task.state == "expired" and task.purpose == "gold" for task in own_tasks)
        else:
            assert [task.state for task in own_tasks if task.purpose == ""] == ["done"]
            assert not [task for task in own_tasks if task.purpose == "repeat"]
        if token in self.tasks:
            assert self.tasks[token].state == "expired"
            self.tasks[token].state = "open"
        else:
            self.tasks[token] = ModelTask(token, row.prompt_id, who, row.purpose, row.number)

    def items(self):
        with reading(self.store) as connection:
            return list(connection.scalars(select(schema.items.c.prompt_id)))

    def is_free_for(self, item, who):
        own_tasks = [task for task in self.of(item, every=True) if task.who == who]
        had = any(task.purpose or task.state != "expired" for task in own_tasks)
        return not had and item not in self.gold and self.taken(item) < self.asked_of(item)

    def asked_of(self, item):
        return max(self.asked, self.least.get(item, 0))

    def of(self, item, every=False):
        return [task for task in self.tasks.values() if task.item == item and (every or not task.purpose)]

    def taken(self, item):
        return sum(task.counted or task.state == "open" for task in self.of(item))

    # What is answered

    def some(self, pick, states):
        result = [task for task in self.tasks.values() if task.state in states]
        return result[pick % len(result)] if result else None

    def send(self, task, outcome, revises=None, then_next=False):
        self.sent += 1
        submission = f"s-{self.sent}"
        order = [[0], [1]] if outcome == "ranked" else []
        answer = Answer(task.token, submission, outcome, order, revises=revises)
        me, result = self.ids[task.who], []
        if then_next:
            message, result = submit_then_next(self.store, answer, me)
        else:
            message = submit(self.store, answer, me)
        assert message == "saved"
        task.chain.append((submission, outcome))
        self.acknowledged[submission] = outcome
        if revises is not None and self.gold.get(task.item) == revises:
            self.gold[task.item] = submission
            if outcome == "skipped":
                del self.gold[task.item]
        self.settle(task, "skipped" if outcome == "skipped" else "done")
        return result

    def settle(self, task, state):
        """The rules of `label_data.store.counting`, said once more."""
        was_open, task.drafted = task.state == "open", False
        task.state = state
        if task.purpose:
            return
        done = sum(other.counted for other in self.of(task.item) if other is not task)
        is_free = (done if was_open else self.taken(task.item) - task.counted) < self.asked_of(task.item)
        freed = was_open or task.counted
        task.counted = state == "done" and (task.counted or is_free)
        if freed and not task.counted:
            self.count_late(task.item)

    def count_late(self, item):
        for late in sorted(self.of(item), key=lambda task: task.number):
            if late.state == "done" and not late.counted and self.taken(item) < self.asked_of(item):
                late.counted = True

    @rule(pick=picks, outcome=st.sampled_from(["ranked", "ranked", "all_bad", "skipped"]))
    def answer(self, pick, outcome):
        if task := self.some(pick, ("open", "expired")):
            self.send(task, outcome)

    @rule(pick=picks, outcome=st.sampled_from(["ranked", "ranked", "all_bad", "skipped"]))
    def answer_and_go_on(self, pick, outcome):
        """The next tasks come along, all or none; where they don't, the page asks for them."""
        if task := self.some(pick, ("open", "expired")):
            must_ask = outcome == "skipped" or self.lapsed_but_of(task.who)
            result = self.send(task, outcome, then_next=True)
            assert len(result) in ((0,) if must_ask else (0, TASKS_HELD))
            if result:
                self.is_given(task.who, result)
            else:
                self.ask(task.who)

    @rule(pick=picks, outcome=st.sampled_from(["ranked", "skipped"]))
    def revise(self, pick, outcome):
        if task := self.some(pick, ("done", "skipped")):
            self.send(task, outcome, revises=task.chain[-1][0])

    @rule(pick=picks)
    def answer_again(self, pick):
        if task := self.some(pick, ("done", "skipped", "retracted")):
            place = pick % len(task.chain)
            submission, outcome = task.chain[place]
            revises = task.chain[place - 1][0] if place else None
            order = [[0], [1]] if outcome == "ranked" else []
            me = self.ids[task.who]
            assert submit(self.store, Answer(task.token, submission, outcome, order, revises=revises), me) == "repeat"
            assert submit(self.store, Answer(task.token, "another tab", "all_bad"), me) == "ranked already"
            with pytest.raises(InputError, match="another judgement"):
                submit(self.store, Answer(task.token, submission, "all_bad", reason="other", revises=revises), me)

    @rule(pick=picks)
    def withdraw(self, pick):
        if task := self.some(pick, ("done", "skipped", "retracted")):
            submission, _ = task.chain[-1]
            assert retract(self.store, submission, self.ids[task.who]) == (task.state != "retracted")
            if task.state != "retracted":
                if self.gold.get(task.item) == submission:
                    del self.gold[task.item]
                self.settle(task, "retracted")
            with pytest.raises(InputError, match="withdrawn"):
                submit(self.store, Answer(task.token, "late", "all_bad", revises=submission), self.ids[task.who])

    # What else happens

    @rule(who=people)
    def shorten_leases(self, who):
        shorten_leases(self.store, self.ids[who])
        for task in self.tasks.values():
            if task.who == who and task.state == "open" and not task.drafted:
                task.expires = min(task.expires, self.clock.seconds + GRACE)

    @rule(pick=picks)
    def draft(self, pick):
        task = self.some(pick, ("open", "expired"))
        content = {"at": self.clock.seconds * 1000, "revises": None}
        if task and save_draft(self.store, task.token, self.ids[task.who], content):
            task.drafted = True
            if task.state == "open":
                task.expires = self.clock.seconds + LEASE

    @precondition(lambda self: "gold_share" in self.settings)
    @rule(pick=picks)
    def make_gold(self, pick):
        task = self.some(pick, ("done",))
        if task and not task.purpose and task.item not in self.gold:
            assert mark_gold(self.store, task.chain[-1][0])
            self.gold[task.item] = task.chain[-1][0]

    @rule(pick=picks)
    def doubt(self, pick):
        """One more is asked for where all are there that the project asks for, once."""
        task = self.some(pick, ("done",))
        if task and not task.purpose:
            done = sum(other.counted for other in self.of(task.item))
            expected = RelabellingRequest(
                unavailable=task.item in self.gold,
                already_requested=task.item not in self.gold and task.item in self.least,
                still_open=task.item not in self.gold and task.item not in self.least and done < self.asked,
                requested=task.item not in self.gold and task.item not in self.least and done >= self.asked,
            )
            assert request_relabelling(self.store, [task.chain[-1][0]]) == expected
            if expected.requested:
                self.least[task.item] = done + 1
                self.count_late(task.item)

    @rule()
    def make_ordinary_again(self):
        if self.gold:
            item, submission = self.gold.popitem()
            assert unmark_gold(self.store, submission)
            self.count_late(item)

    # What must hold

    @invariant()
    def the_store_is_as_the_model_says(self):
        with reading(self.store) as connection:
            rows = connection.execute(select(schema.items)).all()
            kept = set(connection.scalars(select(schema.rankings.c.submission)))
        assert kept == self.acknowledged.keys()
        for row in rows:
            tasks = self.of(row.prompt_id)
            counted = [task.who for task in tasks if task.counted]
            assert (row.done, row.leased, row.skipped) == (
                len(counted),
                sum(task.state == "open" for task in tasks),
                sum(task.state == "skipped" for task in tasks),
            )
            assert len(set(counted)) == len(counted) <= max(self.most_asked, self.least.get(row.prompt_id, 0))
            assert row.least == self.least.get(row.prompt_id, 0)
            ready = row.done < self.asked_of(row.prompt_id) and row.prompt_id not in self.gold
            assert row.state == ("ready" if ready else "ranked")
        current = {ranking.submission for group in groups(self.store) for ranking in group.rankings}
        answered = [task for task in self.tasks.values() if task.chain and task.state != "retracted"]
        assert current == {task.chain[-1][0] for task in answered}
        assert list(problems(self.store)) == []


def test_after_any_actions_of_annotators_the_store_matches_the_model(new_store, request):
    on_postgresql = request.node.callspec.params["new_store"] == "postgresql"
    run = settings(
        max_examples=max(1, EXAMPLES // 4) if on_postgresql else EXAMPLES,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: Assignment(new_store()), settings=run)


# Two sessions in every order


def orders(first, second):
    """Yield every way to do both lists of steps, each in its own order: n + m over n of them."""
    for places in combinations(range(len(first) + len(second)), len(first)):
        left, right = iter(first), iter(second)
        yield [next(left) if place in places else next(right) for place in range(len(first) + len(second))]


@pytest.fixture
def every_order(new_store, request):
    """Return what does two lists of steps in every order, each on a store of its own with two prompts.

    Of more than twenty orders PostgreSQL, where each takes longer, gets every seventh.
    """
    on_postgresql = request.node.callspec.params["new_store"] == "postgresql"

    def run(first, second, check, asked=1):
        every = list(orders(first, second))
        for steps in every[:: 7 if on_postgresql and len(every) > 20 else 1]:
            store = new_store()
            session = {"clock": Clock(store)}
            save_settings(store, ProjectSettings(annotators_per_prompt=asked))
            for question in ("One?", "Two?"):
                add_ready_prompt(store, question, "a", "b")
            for step in steps:
                step(store, session)
            assert list(problems(store)) == []
            check(store, session)
            store.dispose()

    return run


def asks(name, tab=""):
    def step(store, session):
        session[name + tab] = next_tasks(store, find_or_add_annotator(store, name).id)

    return step


def answers(name, tab="", key=None):
    def step(store, session):
        if tasks := session[name + tab]:
            me = find_or_add_annotator(store, name).id
            key_of_tab = key or f"{name}{tab}"
            result = submit(store, Answer(tasks[0].token, key_of_tab, "ranked", [[0], [1]]), me)
            session.setdefault("said", []).append(result)

    return step


def goes(name):
    def step(store, session):
        shorten_leases(store, find_or_add_annotator(store, name).id)
        session["clock"].pass_by(GRACE + 1)

    return step


def test_two_tabs_of_one_annotator_give_one_ranking_in_every_order(every_order):
    """Both tabs ask, then answer under keys of their own; who asks after the other answered gets the next prompt."""

    def check(store, session):
        result = [ranking.submission for group in groups(store) for ranking in group.rankings]
        same = session["Ann1"][0].token == session["Ann2"][0].token
        assert sorted(session["said"]) == (["ranked already", "saved"] if same else ["saved", "saved"])
        assert len(result) == (1 if same else 2)

    every_order([asks("Ann", "1"), answers("Ann", "1")], [asks("Ann", "2"), answers("Ann", "2")], check)


def test_a_repeated_submission_is_stored_once_in_every_order(every_order):
    def check(store, session):
        assert sorted(session["said"]) == ["repeat", "repeat", "saved"]

    def hers(store, session):
        session["Ann"] = session.get("Ann") or next_tasks(store, find_or_add_annotator(store, "Ann").id)
        answers("Ann", key="one key")(store, session)

    every_order([hers, hers], [hers], check)


def test_two_annotators_never_both_count_for_one_place_in_every_order(every_order):
    """Bob leaves and a minute goes by, so Ann may get his prompts; his late answers are stored beside hers."""

    def check(store, session):
        with reading(store) as connection:
            rows = connection.execute(select(schema.items.c.done, schema.items.c.leased)).all()
        assert all(row.done + row.leased <= 1 for row in rows)
        message = session.get("said", [])
        assert len([ranking for group in groups(store) for ranking in group.rankings]) == len(message)
        assert set(message) <= {"saved"}

    every_order([asks("Ann"), answers("Ann"), asks("Ann")], [asks("Bob"), goes("Bob"), answers("Bob")], check)


def test_two_annotators_share_prompts_that_request_two_in_every_order(every_order):
    def check(store, session):
        assert session["said"] == ["saved"] * 4
        assert [len(group.rankings) for group in groups(store)] == [2, 2]

    both = {
        name: [asks(name), answers(name, key=f"{name}-1"), asks(name), answers(name, key=f"{name}-2")] for name in "AB"
    }
    every_order(both["A"], both["B"], check, asked=2)
