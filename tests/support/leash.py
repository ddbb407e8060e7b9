"""Run a module as `python -m` does, and end it when standard input closes, which is when its parent ends.

A killed test process cannot clean up: without this, servers it started would run on for ever.
"""

import os
import runpy
import signal
import sys
import threading


def end_with_parent() -> None:
    """Terminate this process when the other end of standard input is closed."""
    os.read(0, 1)  # nothing is ever written to it
    os.kill(os.getpid(), signal.SIGTERM)


threading.Thread(target=end_with_parent, daemon=True).start()
del sys.argv[0], sys.path[0]
sys.path.insert(0, os.getcwd())
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
