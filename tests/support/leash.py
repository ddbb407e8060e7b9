"""Run a module as `python -m` does, but end it when standard input ends: with the process that started it.

A test process that is killed closes nothing behind it; what it has started would go on for good.
"""

import os
import runpy
import signal
import sys
import threading


def await_the_end() -> None:
    """Ask this process to end once nobody holds the other end of standard input any more."""
    os.read(0, 1)  # nothing is ever written to it
    os.kill(os.getpid(), signal.SIGTERM)


threading.Thread(target=await_the_end, daemon=True).start()
del sys.argv[0], sys.path[0]
sys.path.insert(0, os.getcwd())
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
