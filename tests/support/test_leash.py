import signal
import subprocess
import sys

from browser import LEASH, PATIENCE, free_port


def test_a_server_runs_until_nobody_holds_the_other_end_of_its_standard_input():
    """That end is closed by the system when the test process is gone, however it went."""
    server = subprocess.Popen(
        [sys.executable, "-u", LEASH, "http.server", "--bind", "127.0.0.1", str(free_port())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout.readline().startswith("Serving HTTP")
    assert server.poll() is None
    server.stdin.close()
    assert server.wait(PATIENCE) == -signal.SIGTERM
    server.stdout.close()
