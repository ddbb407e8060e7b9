"""How long a page takes to answer, with the worker idle and with the worker sampling, in one run.

    python benchmarks/page_response.py [--turns 60]

Starts the app and its worker on a store of its own, holds one websocket session as a browser does, and asks for each
page again and again: from the request to the end of the script's run. The two states are measured in the same
run, one after the other; the ratio is what matters, the milliseconds are this machine's.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

PORT = 8597
PATIENCE = 300
"""Seconds that the worker has to load the model and sample once."""
PAGES = ("rank", "prompts", "project")
ROOT = Path(__file__).parent.parent


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def answer_seconds(page: str, turns: int, cookie: str) -> list[float]:
    """Return the seconds of each of `turns` runs of the page's script in one session."""
    took = []
    headers = {"Cookie": f"annotator={cookie}"}
    address = f"ws://127.0.0.1:{PORT}/_stcore/stream"
    async with websockets.connect(
        address,
        subprotocols=["streamlit"],
        origin=f"http://127.0.0.1:{PORT}",
        additional_headers=headers,
        max_size=2**26,
    ) as socket:
        for turn in range(turns + 5):
            request = BackMsg()
            request.rerun_script.page_name = "" if page == "rank" else page
            start = time.perf_counter()
            await socket.send(request.SerializeToString())
            while True:
                message = ForwardMsg()
                message.ParseFromString(await asyncio.wait_for(socket.recv(), 60))
                kind = message.WhichOneof("type")
                if kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
                    sys.exit(f"The {page} page failed: {message.delta.new_element.exception.message}")
                if kind == "script_finished":
                    break
            if turn >= 5:  # the first turns load modules and caches
                took.append(time.perf_counter() - start)
            await asyncio.sleep(0.05)
    return took


def measure(turns: int, cookie: str) -> dict[str, list[float]]:
    return {page: asyncio.run(answer_seconds(page, turns, cookie)) for page in PAGES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=60)
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBENCH_DATA"] = folder
        sys.path.insert(0, str(ROOT))
        from label_data.data_folder import default_store
        from label_data.database.engine import open_store
        from label_data.formats.prompts import read_prompts
        from label_data.records import Completion
        from label_data.settings import ProjectSettings
        from label_data.store.adding import add_prompts
        from label_data.store.annotators import find_or_add_annotator
        from label_data.store.jobs import latest_job
        from label_data.store.projects import save_settings
        from label_data.store.samples import save_samples
        from workbench.jobs.scheduling import start_sampling

        store = open_store(default_store())
        me = find_or_add_annotator(store, "Benchmark").id
        prompts = list(read_prompts(ROOT / "workbench" / "starter_prompts.jsonl"))
        add_prompts(store, prompts)
        for prompt in prompts[:8]:
            texts = (
                f"Completion {number}. " + "It has several words, **bold** and plain. " * 12 for number in range(4)
            )
            save_samples(store, prompt, [Completion(prompt.id, text, "benchmark") for text in texts])
        save_settings(store, ProjectSettings(ready_ahead=1))
        process = subprocess.Popen([sys.executable, "-m", "workbench", "run", "--port", str(PORT)], cwd=ROOT)
        try:
            wait_for_answer()
            idle = measure(turns, me)
            save_settings(store, ProjectSettings(ready_ahead=1_000))
            start_sampling(store)
            latest = time.monotonic() + PATIENCE
            while (job := latest_job(store, "sample")) is None or job.done == 0:
                if time.monotonic() > latest or (job is not None and job.ended):
                    sys.exit(f"The worker sampled nothing: {'no job' if job is None else job.message}")
                time.sleep(0.5)
            sampling = measure(turns, me)
            still = latest_job(store, "sample")
        finally:
            process.terminate()
            process.wait()
    busy = still is not None and not still.ended
    print(f"\nOn {os.cpu_count()} cores, {turns} turns a page; sampling went on to the end: {busy}")
    print(f"{'page':10}{'idle median':>14}{'p95':>8}{'sampling median':>18}{'p95':>8}{'ratio of medians':>18}")
    for page in PAGES:
        row = [statistics.median(idle[page]), percentile(idle[page], 0.95)]
        row += [statistics.median(sampling[page]), percentile(sampling[page], 0.95)]
        cells = [f"{1000 * seconds:.0f} ms" for seconds in row]
        print(f"{page:10}{cells[0]:>14}{cells[1]:>8}{cells[2]:>18}{cells[3]:>8}{row[2] / row[0]:>18.2f}")


def wait_for_answer() -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("The app did not start.")


if __name__ == "__main__":
    main()
