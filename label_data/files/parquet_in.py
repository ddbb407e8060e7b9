"""Parquet as lines of JSON, decoded by a process of limited memory: see parquet_lines.py."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile

from label_data.files.lines_in import FREE_GROWTH, LONGEST_LINE, MAX_BYTES, MAX_GROWTH, opened
from label_data.files.places import after_row, at_row, fault
from label_data.sentences import say, sentence_from

DECODER = Path(__file__).with_name("parquet_lines.py")
POOL = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Arrow's other allocators reserve a GiB in advance, which a limit on memory refuses."""


def parquet_lines(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """Yield each row's number from 1 and the row as one line of JSON, in which a NaN stays NaN.

    Raises InputError, with the file and the row, at invalid Parquet and at Parquet that needs too much memory.
    """
    decoded = number = 0
    with opened(path, name) as file, TemporaryFile() as complaint:
        limit = min(MAX_BYTES, max(FREE_GROWTH - 1, MAX_GROWTH * path.stat().st_size))
        command = [sys.executable, "-P", str(DECODER)]
        with subprocess.Popen(
            command, env=os.environ | POOL, stdin=file, stdout=subprocess.PIPE, stderr=complaint
        ) as decoder:
            output = decoder.stdout
            assert output is not None  # because stdout is a pipe
            try:
                first = io.BytesIO(output.read(FREE_GROWTH))  # all or a part of it, before any row is parsed
                decoded = first.getbuffer().nbytes
                for number in count(1):
                    if decoded > limit:
                        problem = say("label_data.files.parquet_growth", times=MAX_GROWTH, gibibytes=MAX_BYTES // 2**30)
                        raise fault(at_row(name, number), problem)
                    line = first.readline()
                    if not line.endswith(b"\n"):
                        line += output.readline(LONGEST_LINE + 1)
                    if len(line) > LONGEST_LINE:
                        problem = say("label_data.files.long_row", limit=LONGEST_LINE // 2**20)
                        raise fault(at_row(name, number), problem)
                    if not line.endswith(b"\n"):
                        decoder.wait()
                        break
                    decoded += len(line) if first.tell() == FREE_GROWTH else 0
                    text, line = line.decode(), b""  # a row can be long: only one copy is held
                    yield number, text
            finally:
                if decoder.poll() is None:
                    decoder.kill()
        if decoder.returncode:
            complaint.seek(0)
            message = complaint.read(2_000).decode(errors="replace").strip()
            if decoder.returncode > 0 and "\n" in message:
                raise RuntimeError(f"the decoder of {name} failed:\n{message}")
            if decoder.returncode < 0:
                problem = say("label_data.files.parquet_signal", signal=-decoder.returncode)
            else:
                problem = sentence_from(message)
            raise fault(after_row(name, number - 1), problem)
    if number == 1:
        raise fault(name, say("label_data.files.parquet_empty"))
