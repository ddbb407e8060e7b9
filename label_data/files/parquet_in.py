"""Parquet as lines of JSON, decoded by a process that may take no more than so much memory: see parquet_lines.py."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile

from label_data.errors import InputError
from label_data.files.lines_in import FREE_GROWTH, LONGEST_LINE, MOST_BYTES, MOST_GROWTH, opened

DECODER = Path(__file__).with_name("parquet_lines.py")
POOL = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Arrow's other allocators reserve a GiB before they need any, which a limit on memory refuses."""


def parquet_lines(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """Yield each row's number from 1 and the row as one line of JSON, in which a NaN stays NaN.

    Raises InputError, with the file and the row, at what is no sound Parquet and at what needs too much memory.
    """
    decoded = number = 0
    with opened(path, name) as file, TemporaryFile() as complaint:
        most = min(MOST_BYTES, max(FREE_GROWTH - 1, MOST_GROWTH * path.stat().st_size))
        command = [sys.executable, "-P", str(DECODER)]
        pipes = {"stdin": file, "stdout": subprocess.PIPE, "stderr": complaint}
        with subprocess.Popen(command, env=os.environ | POOL, **pipes) as decoder:
            try:
                first = io.BytesIO(decoder.stdout.read(FREE_GROWTH))  # all or a part of it, before a row is looked at
                decoded = first.getbuffer().nbytes
                for number in count(1):
                    if decoded > most:
                        raise InputError(
                            f"{name}, row {number}: found Parquet that unpacks to more than {MOST_GROWTH} times its "
                            f"size, or {MOST_BYTES // 2**30} GiB. If it is meant to, write it as JSON lines."
                        )
                    line = first.readline()
                    if not line.endswith(b"\n"):
                        line += decoder.stdout.readline(LONGEST_LINE + 1)
                    if len(line) > LONGEST_LINE:
                        raise InputError(
                            f"{name}, row {number}: found more than {LONGEST_LINE // 2**20} MiB in one row. Shorten it."
                        )
                    if not line.endswith(b"\n"):
                        decoder.wait()
                        break
                    decoded += len(line) if first.tell() == FREE_GROWTH else 0
                    text, line = line.decode(), b""  # a row can be long: it is held once
                    yield number, text
            finally:
                if decoder.poll() is None:
                    decoder.kill()
        if decoder.returncode:
            complaint.seek(0)
            said = complaint.read(2_000).decode(errors="replace").strip()
            if decoder.returncode > 0 and "\n" in said:
                raise RuntimeError(f"the decoder of {name} failed:\n{said}")
            if decoder.returncode < 0:
                said = f"no sound Parquet data: it ended the decoder with signal {-decoder.returncode}. Copy it again."
            raise InputError(f"{name}, after row {number - 1}: found {said}")
    if number == 1:
        raise InputError(f"{name}: found no row in it. Check that it was written to its end.")
