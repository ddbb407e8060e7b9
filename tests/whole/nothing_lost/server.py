"""Kill all processes of a PostgreSQL server at once with SIGKILL while writers write."""

import random
import time
from collections import Counter
from pathlib import Path

from tests.support.postgres_server import PostgresServer
from tests.whole.nothing_lost.checker import Finding
from tests.whole.nothing_lost.history import histories_in
from tests.whole.nothing_lost.kills import LONGEST_CALL, STUCK, Crew, Outcome, checked

CALLS_BETWEEN = 60
"""Least number of calls between two kills."""
PROMPTS = 400


def kill_server(server: PostgresServer, address: str, folder: Path, kills: int, seed: int) -> Outcome:
    """Kill the server and a writer `kills` times, restart both each time, and check the store."""
    rng = random.Random(seed)
    crew = Crew(address, folder, PROMPTS, outlasts_server=True)
    in_doubt = 0
    for _ in range(kills):
        enough = len(histories_in(folder)) + CALLS_BETWEEN
        latest = time.monotonic() + LONGEST_CALL
        while len(histories_in(folder)) < enough and time.monotonic() < latest:
            time.sleep(0.05)
        if time.monotonic() > latest:  # for example when every writer ended by itself
            crew.ended.append(Finding(STUCK, "the writers made too few calls"))
            break
        time.sleep(rng.uniform(0, 0.2))
        server.crash()
        in_doubt += crew.in_doubt()
        slot = rng.choice(crew.slots)
        crew.kill(slot)
        server.start()
        crew.start(slot)
    crew.end()
    return checked(address, folder, crew, Counter({"kills of the server": kills, "calls in doubt": in_doubt}))
