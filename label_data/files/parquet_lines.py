"""Parquet on standard input to JSON lines on standard output: started by parquet_in.py, in a process of its own.

A file of 2 kB can decode to 8 GB, and nothing in its metadata need say so; a damaged one can end the decoder. So this
process may take `MOST_MEMORY` beyond what its libraries took, and its end is nobody else's. It imports nothing of this
project, because it is started by its path.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MOST_MEMORY = 128 * 2**20
ROWS_AT_ONCE = 16
PAGE = 2**16
"""Bytes taken from the file at a time; without it a whole column of a row group is."""
STATM = Path("/proc/self/statm")


def limit_memory() -> None:
    """Let this process allocate `MOST_MEMORY` more than it has; on Linux alone, other systems have no such limit."""
    if STATM.exists():
        limit = int(STATM.read_text().split()[5]) * resource.getpagesize() + MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def write_lines() -> None:
    """Write each row as one JSON object, as soon as it is decoded."""
    with pq.ParquetFile(sys.stdin.buffer, buffer_size=PAGE, pre_buffer=False) as file:
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            sys.exit("two columns of one name. Rename one.")
        if file.metadata.num_rows > max(10**6, sys.stdin.buffer.seek(0, 2)):
            sys.exit(f"more rows than bytes, {file.metadata.num_rows:,}. If it is meant to, write it as JSON lines.")
        for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
            for fields in batch.to_pylist():
                sys.stdout.write(json.dumps(fields, ensure_ascii=False, default=_as_json) + "\n")


def _as_json(value: Any) -> Any:
    """Return what JSON has for a value of another kind: a size for bytes, text for times and decimal numbers."""
    return {"binary": len(value)} if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    limit_memory()
    try:
        write_lines()
        sys.stdout.flush()
    except MemoryError:
        sys.exit(f"rows that need more than {MOST_MEMORY // 2**20} MiB of memory. Shorten them.")
    except UnicodeDecodeError:
        sys.exit("text that is not UTF-8. Write it again.")
    except (pa.ArrowException, ValueError, OverflowError, OSError) as error:
        sys.exit(f"no sound Parquet data ({str(error).partition(chr(10))[0].rstrip('.')}). Copy it again.")
