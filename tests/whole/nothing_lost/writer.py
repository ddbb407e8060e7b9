"""A writer: the browser of one annotator, which fetches, answers, resends, revises, withdraws and leaves without pause.

After a kill it repeats the call that was not answered, under the same name, as the page does. Answers go together with
the request for the next tasks, as the ranking page sends them; revisions go alone.
"""

import logging
import random
import secrets
import time
from typing import Any

from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from label_data.assignment import answers, tasks
from label_data.assignment.drafts import save_draft
from label_data.assignment.leases import shorten_leases
from label_data.assignment.own_rankings import retract
from label_data.database import schema
from label_data.database.engine import Store, open_store, writing
from label_data.errors import InputError
from tests.whole.nothing_lost.history import Call, History

SHOWN = 3
"""Completions per prompt."""
STOP = "stop"
"""A file of this name beside the histories tells all writers to end."""


class Alarm(logging.Handler):
    """Raises the errors that `submit_then_next` only logs: a writer should never cause one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Raise the logged error."""
        assert record.exc_info and record.exc_info[1]
        raise record.exc_info[1]


class Writer:
    """One life of a writer."""

    def __init__(self, store: Store, annotator: str, history: History, outlasts_server: bool) -> None:
        self._store, self._annotator, self._history = store, annotator, history
        self._outlasts_server = outlasts_server
        self._random = random.Random(secrets.randbits(64))
        # While the server is down, every call would log only that.
        answers.log.addHandler(logging.NullHandler() if outlasts_server else Alarm())
        answers.log.propagate = not outlasts_server
        self._open: list[str] = []
        self._given: list[str] = []
        """Tasks received with the last answer."""
        self._sent: list[dict[str, Any]] = []
        """Submissions that were answered."""
        self._newest: dict[str, str] = {}
        """Task -> its newest ranking as far as this writer knows."""
        for call in history.calls:
            self._remember(call)

    def resolve(self) -> None:
        """Repeat the last life's call if it was not answered."""
        if self._history.calls and (last := self._history.calls[-1]).is_in_doubt:
            self._ask(last.what, last.fields)

    def step(self) -> None:
        """Take one of the actions open to an annotator now."""
        possible = {"assign": 1 if self._open else 20, "leave": 1, "lapse": 1}
        if self._open:
            possible |= {"answer": 20, "draft": 1}
        if self._newest:
            possible |= {"revise": 3, "retract": 1}
        if self._sent:
            possible["again"] = 3
        match self._random.choices(list(possible), list(possible.values()))[0]:
            case "answer":
                self._answer(self._random.choice(self._open), None)
            case "revise":
                self._answer(*self._random.choice(list(self._newest.items())))
            case "again":
                self._ask("submit", self._random.choice(self._sent))
            case "retract":
                self._ask("retract", {"submission": self._random.choice(list(self._newest.values()))})
            case "draft":
                self._ask("draft", {"token": self._random.choice(self._open), "at": int(time.time() * 1000)})
            case "lapse":
                self._ask("lapse", {"of_three": self._random.randrange(3)})
            case simple:
                self._ask(simple, {})

    def _answer(self, token: str, revises: str | None) -> None:
        outcome = self._random.choices(("ranked", "all_bad", "skipped"), (8, 1, 1))[0]
        order = self._random.sample([[place] for place in range(SHOWN)], SHOWN) if outcome == "ranked" else []
        named = {"token": token, "submission": secrets.token_hex(16), "revises": revises}
        self._ask("submit", named | {"outcome": outcome, "order": order})

    def _ask(self, label: str, fields: dict[str, Any]) -> None:
        call = self._history.asks(label, fields)
        while call.is_in_doubt:
            try:
                self._history.was_told(self._done(label, fields))
            except InputError as error:
                self._history.was_refused(str(error))
            except DBAPIError:
                if not self._outlasts_server:
                    raise
                time.sleep(0.05)
        self._remember(call)
        if self._given:
            given = self._history.asks("assign", {})
            self._history.was_told(self._given)
            self._remember(given)
            self._given = []

    def _done(self, label: str, fields: dict[str, Any]) -> Any:
        match label:
            case "assign":
                return [task.token for task in tasks.next_tasks(self._store, self._annotator)]
            case "submit" if fields["revises"] is None:
                answer = answers.Answer(**fields)
                result, following = answers.submit_then_next(self._store, answer, self._annotator)
                self._given = [task.token for task in following]
                return result
            case "submit":
                return answers.submit(self._store, answers.Answer(**fields), self._annotator)
            case "retract":
                return retract(self._store, fields["submission"], self._annotator)
            case "draft":
                draft = {"at": fields["at"], "revises": None}
                return save_draft(self._store, fields["token"], self._annotator, draft)
            case "leave":
                return shorten_leases(self._store, self._annotator)
        table = schema.tasks
        lapsed = update(table).where(schema.is_open, table.c.number % 3 == fields["of_three"]).values(expires_us=0)
        with writing(self._store) as connection:
            return connection.execute(lapsed).rowcount

    def _remember(self, call: Call) -> None:
        if call.what == "assign" and call.answers:
            self._open = call.answers[0]
        elif call.what == "submit" and not call.is_in_doubt:
            token, submission = call.fields["token"], call.fields["submission"]
            self._open = [other for other in self._open if other != token]
            if call.answers:
                self._sent.append(call.fields)
            if "saved" in call.answers:
                self._newest[token] = submission
            elif call.refused:
                self._newest.pop(token, None)
        elif call.what == "retract" and not call.is_in_doubt:
            gone = call.fields["submission"]
            self._newest = {token: newest for token, newest in self._newest.items() if newest != gone}


def live(address: str, annotator: str, history: History, outlasts_server: bool = False) -> None:
    """Settle the unanswered call, then write until a file tells to end."""
    store = _opened(address, outlasts_server)
    writer = Writer(store, annotator, history, outlasts_server)
    writer.resolve()
    while not (history.folder / STOP).exists():
        writer.step()
    store.dispose()


def _opened(address: str, outlasts_server: bool) -> Store:
    while True:
        try:
            return open_store(address, create=False)
        except InputError:
            if not outlasts_server:
                raise
            time.sleep(0.05)
