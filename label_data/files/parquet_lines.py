"""Parquet on standard input to JSON lines on standard output: started by parquet_in.py, in a process of its own.

A file of 2 kB can decode to 8 GB without a word of it in its metadata, and a damaged file can crash the decoder. So
this process may allocate only `MAX_MEMORY` more than its libraries did, and a crash ends it alone. It imports nothing
of this project, because it is started by its path; its errors are sentences as label_data.sentences keeps them.
"""

import json
import resource
import sys
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

MAX_MEMORY = 128 * 2**20
ROWS_AT_ONCE = 16
PAGE = 2**16
"""Bytes read from the file at a time; without a limit a whole column of a row group is read."""
STATM = Path("/proc/self/statm")


def limit_memory() -> None:
    """Let this process allocate `MAX_MEMORY` more than it has; on Linux only, other systems have no such limit."""
    if STATM.exists():
        limit = int(STATM.read_text().split()[5]) * resource.getpagesize() + MAX_MEMORY
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def write_lines() -> None:
    """Write each row as one JSON object, as soon as it is decoded."""
    with pq.ParquetFile(sys.stdin.buffer, buffer_size=PAGE, pre_buffer=False) as file:
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            refuse("label_data.files.parquet_columns_twice")
        if file.metadata.num_rows > max(10**6, sys.stdin.buffer.seek(0, 2)):
            refuse("label_data.files.parquet_rows", rows=file.metadata.num_rows)
        for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
            for fields in batch.to_pylist():
                sys.stdout.write(json.dumps(fields, ensure_ascii=False, default=_as_json) + "\n")


def refuse(key: str, **values: str | int) -> NoReturn:
    """End with status 1 and a sentence on standard error."""
    sys.exit(json.dumps({"key": key, "values": values}))


def _as_json(value: object) -> dict[str, int] | str:
    """Return a JSON value for a value of another type: the size of bytes, text for times and decimal numbers."""
    return {"binary": len(value)} if isinstance(value, bytes) else str(value)


def main() -> None:
    """Decode standard input, or say why that is not possible."""
    limit_memory()
    try:
        write_lines()
        sys.stdout.flush()
    except MemoryError:
        refuse("label_data.files.parquet_memory", limit=MAX_MEMORY // 2**20)
    except UnicodeDecodeError:
        refuse("label_data.files.parquet_not_utf8")
    except (pa.ArrowException, ValueError, OverflowError, OSError) as error:
        refuse("label_data.files.parquet_invalid", error=str(error).partition("\n")[0].rstrip("."))


if __name__ == "__main__":
    main()
