"""The app as a process: what it loads, what it serves, and how it stops."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import psutil
import pytest

from browser import PATIENCE, free_port
from page_fixtures import add_run
from tests.support.paths import ROOT


@pytest.fixture
def port():
    return free_port()


@pytest.fixture(params=["the store in the data folder", "the store elsewhere"])
def workbench(request, tmp_path, port):
    """Start the workbench as on a new machine: the data folder does not exist yet."""
    elsewhere = {"WORKBENCH_STORE": str(tmp_path / "stores" / "one.db")} if "elsewhere" in request.param else {}
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "run", "--port", str(port)],
        cwd=ROOT,
        env=os.environ | {"WORKBENCH_DATA": str(tmp_path / "data")} | elsewhere,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
    for child in psutil.process_iter():
        assert not _is_part_of(child, tmp_path), f"{child} was left running"
    process.stdout.close()


def _is_part_of(process, tmp_path):
    try:
        return process.environ().get("WORKBENCH_DATA", "").startswith(str(tmp_path))
    except (psutil.Error, OSError):
        return False


def test_it_prints_the_line_in_the_readme_logs_json_and_ctrl_c_stops_app_and_worker(workbench, port, tmp_path):
    shown = next(line for line in (ROOT / "README.md").read_text().splitlines() if "http://127.0.0.1" in line)
    line = workbench.stdout.readline().rstrip()
    assert line == shown.replace("8501", str(port)).replace("data/", f"{tmp_path / 'data'}/")
    parts = psutil.Process(workbench.pid).children()
    assert sorted(part.cmdline()[3] for part in parts) == ["app", "worker"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        policy = answer.headers["content-security-policy"]
    assert "connect-src 'self'" in policy
    assert "unsafe-eval" not in policy
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/rank"
    ) as answer:  # where the other pages' names would have it
        assert answer.url == f"http://127.0.0.1:{port}/"
    workbench.send_signal(signal.SIGINT)
    assert workbench.wait(PATIENCE) == 0
    for log in ("app.log", "worker.log"):
        lines = (tmp_path / "data" / log).read_text().splitlines()
        assert lines and all("event" in json.loads(line) for line in lines)
    assert workbench.stdout.read().strip() == "Stopping."
    assert not any(part.is_running() and part.status() != psutil.STATUS_ZOMBIE for part in parts)


def test_a_data_folder_that_cannot_be_created_gives_one_message(tmp_path):
    (tmp_path / "data").write_text("")
    run = subprocess.run(
        [sys.executable, "-m", "workbench"],
        cwd=ROOT,
        env=os.environ | {"WORKBENCH_DATA": str(tmp_path / "data"), "WORKBENCH_STORE": str(tmp_path / "one.db")},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (
        1,
        f"{tmp_path / 'data'}: the data folder can't be created (File exists). "
        "Name another folder with WORKBENCH_DATA.\n",
    )


def test_a_port_in_use_gives_one_message(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "-m", "workbench", "run", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"WORKBENCH_DATA": str(tmp_path)},
            capture_output=True,
            text=True,
        )
    assert run.returncode == 1
    assert run.stderr == f"Port {port} is in use. If it is not the workbench, start with PORT={port + 1}.\n"


@pytest.mark.parametrize("command", [[], ["run"]])
def test_the_environment_sets_the_port_with_and_without_a_command(tmp_path, command):
    """As with `PORT=8601 make run`: the message names the port in use."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "-m", "workbench", *command],
            cwd=ROOT,
            env=os.environ | {"WORKBENCH_DATA": str(tmp_path), "PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert run.stderr.startswith(f"Port {port} is in use")


def test_no_page_loads_torch_transformers_or_datasets(tmp_path):
    """Run every page in one process, as the app does, with two runs to compare; then list what was imported."""
    for day in (1, 2):
        add_run(tmp_path, name=f"2026010{day}-030405-abcdabcd")
    script = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("workbench/app.py", default_timeout=120).run()
for page in ("prompts", "rank", "train", "score", "data", "versions", "quality", "overview", "project"):
    app.switch_page(f"app_pages/{page}.py").run()
    assert not app.exception, (page, app.exception)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "transformers", "datasets"}))
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"WORKBENCH_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == "[]", run.stderr[-2000:]


def test_the_readme_names_only_files_that_exist():
    """Every path in the README's tree exists."""
    readme = (ROOT / "README.md").read_text()
    tree = readme.split("```text\n")[1].split("```")[0]
    folder = ""
    for line in tree.splitlines():
        name = re.split(r"\s{2,}", line.strip())[0]
        folder = name if not line.startswith(" ") else folder
        path = ROOT / (name if name == folder else folder + name)
        assert path.exists(), path
