"""Three app processes and two workers with separate data folders, as on separate machines, share one store."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from browser import app_server, free_port
from chat_server import says
from label_data.assignment.answers import Answer, submit
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import open_store
from label_data.oversight.check import problems
from label_data.oversight.progress import item_counts
from label_data.records import user_prompt
from label_data.settings import PolicySettings, ProjectSettings
from label_data.store.adding import add_prompts
from label_data.store.annotators import find_or_add_annotator
from label_data.store.jobs import DONE, latest_job
from label_data.store.projects import save_settings
from label_data.store.stored_groups import groups
from label_data.store.workers import GONE_AFTER, living_workers
from tests.support.paths import ROOT

PROMPTS = [user_prompt(f"Question {number}?") for number in range(12)]


@pytest.fixture
def shared(postgres_store, monkeypatch, chat_server):
    """A store with twelve waiting prompts, the default store of every process that the test starts."""
    monkeypatch.setenv("WORKBENCH_STORE", postgres_store)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    store = open_store(postgres_store)
    policy = PolicySettings("p", "openai", "m", chat_server.base_url)
    settings = ProjectSettings(policies=(policy,), completions_per_prompt=2, ready_ahead=12, annotators_per_prompt=2)
    save_settings(store, settings)
    add_prompts(store, PROMPTS)
    yield store
    store.dispose()


def until(condition, seconds=90):
    waiting = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        waiting.wait(0.05)
    raise AssertionError(f"the condition did not hold within {seconds} s")


async def answer_of(address, page, annotator):
    """Return the kinds of elements that the page's script sends to a browser's first request."""
    kinds = []
    async with websockets.connect(
        f"ws{address.removeprefix('http')}/_stcore/stream",
        subprotocols=["streamlit"],
        origin=address,
        additional_headers={"Cookie": f"annotator={annotator}"},
    ) as socket:
        request = BackMsg()
        request.rerun_script.page_name = page
        await socket.send(request.SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(await asyncio.wait_for(socket.recv(), 60))
            if message.WhichOneof("type") == "script_finished":
                return kinds
            if message.WhichOneof("type") == "delta":
                kinds.append(message.delta.new_element.WhichOneof("type"))


def start_worker(data):
    data.mkdir()
    with (data / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", "from workbench.jobs.worker import run_worker; run_worker()"],
            cwd=ROOT,
            env=os.environ | {"WORKBENCH_DATA": str(data)},
            stderr=log,
        )


def test_each_prompt_is_sampled_once_and_every_ranking_is_kept_though_a_worker_is_killed(
    shared, postgres_store, chat_server, tmp_path
):
    """The worker is killed in the third batch, with five or more prompts to go; its last sign of life is then set back
    by 30 seconds. Each of twelve prompts needs two rankings, 24 in all, which three annotators give, at most one per
    prompt and annotator.
    """
    stalled = threading.Event()

    def stall(body):
        if len(chat_server.bodies) >= 8:
            stalled.set()
            return chat_server.hang(body)
        return says(f"text {body['seed']}")

    chat_server.answer = stall
    people = [find_or_add_annotator(shared, name).id for name in ("Ann", "Bob", "Cy")]
    with ExitStack() as running:
        workers = {}
        for name in ("one", "two"):
            workers[name] = start_worker(tmp_path / name)
            running.callback(workers[name].wait)
            running.callback(workers[name].kill)
        apps = []
        for name in ("a", "b", "c"):
            (tmp_path / name).mkdir()
            apps.append(running.enter_context(app_server(free_port(), tmp_path / name)))
        until(lambda: len(living_workers(shared)) == 2)
        assert stalled.wait(90)
        sampling = latest_job(shared, "sample").worker
        (place,) = (worker.place for worker in living_workers(shared) if worker.id == sampling)
        killed = workers[Path(place.partition(":")[2]).name]
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        chat_server.answer = lambda body: says(f"text {body['seed']}")
        with psycopg.connect(postgres_store) as connection:
            connection.execute(
                "UPDATE workers SET seen_us = seen_us - %s WHERE id = %s", (int(GONE_AFTER * 1e6), sampling)
            )
        for address, annotator in zip(apps, people, strict=True):
            for page in ("", "prompts"):
                kinds = asyncio.run(answer_of(address, page, annotator))
                assert kinds and "exception" not in kinds
        until(lambda: item_counts(shared)["ready"] == len(PROMPTS))
        assert latest_job(shared, "sample").worker != sampling
        assert [len(group.completions) for group in groups(shared)] == [2] * len(PROMPTS)
        until(lambda: latest_job(shared, "sample").state == DONE)

        threads = [threading.Thread(target=rank_all, args=(postgres_store, annotator)) for annotator in people]
        for thread in threads:
            thread.start()
        kinds = asyncio.run(answer_of(apps[0], "", people[0]))
        assert kinds and "exception" not in kinds
        for thread in threads:
            thread.join()
    rankings = [ranking for group in groups(shared) for ranking in group.rankings]
    assert len(rankings) == 2 * len(PROMPTS)
    assert len({(ranking.prompt_id, ranking.annotator) for ranking in rankings}) == len(rankings)
    assert item_counts(shared)["ranked"] == len(PROMPTS)
    assert list(problems(shared)) == []


def rank_all(address, annotator):
    """Rank everything that is left, over a separate connection."""
    store = open_store(address)
    while tasks := next_tasks(store, annotator, count=1):
        submit(store, Answer(tasks[0].token, tasks[0].token, "ranked", [[0], [1]]), annotator)
    store.dispose()
