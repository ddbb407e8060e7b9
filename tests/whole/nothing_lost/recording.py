"""The file operations of a process in one folder, in order, recorded with strace: writes, syncs, names."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.paths import ROOT, TESTS

CALLS = "openat,open,creat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,renameat,renameat2"
OTHERS = "pwritev,pwritev2,writev,fallocate,copy_file_range,sendfile,link,linkat,mkdir"
"""Calls that also change a folder but that no writer makes so far; they can't be replayed yet."""
_LINE = re.compile(r"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+|\?)(?:<(.*?)>)?")
_BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_OF_FILE = re.compile(r"\d+<([^>]*)>, *|\d+<([^>]*)>")


@dataclass(frozen=True, slots=True)
class Operation:
    """One call on one file of the folder."""

    kind: Literal["make", "write", "append", "truncate", "sync", "remove", "rename"]
    name: str
    """Name of the file; empty for the folder itself."""
    at: int = 0
    """Offset of a write, or length after a truncation."""
    content: bytes = b""
    to: str = ""
    """New name."""


def recorded(command: Sequence[str], folder: Path, trace: Path) -> list[Operation]:
    """Run `python` with these arguments under strace; return its operations on the folder's files."""
    strace = subprocess.run([TESTS / "support" / "programs" / "find_strace.sh"], capture_output=True, text=True)
    if strace.returncode:
        raise FileNotFoundError(strace.stderr.strip())
    options = ["-f", "-y", "-xx", "-s", "4000000", "--seccomp-bpf", "-e", f"trace={CALLS},{OTHERS}", "-o", str(trace)]
    run = [strace.stdout.strip(), *options, sys.executable, *command]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"The recorded writer ended with {done.returncode}: {done.stderr}")
    with trace.open() as lines:
        return list(_operations(lines, os.fspath(folder.resolve())))


def _operations(lines: Iterator[str], folder: str) -> Iterator[Operation]:
    known: set[str] = set()
    for line in lines:
        parts = _LINE.match(line)
        if parts is None or parts[3] == "?" or int(parts[3]) < 0:
            if _names(line, folder) and "unfinished" in line:
                raise RuntimeError(f"Two threads write at once, which can't be replayed: {line[:200]}")
            continue
        call, arguments, result, opened = parts.groups()
        named = _names(f"{arguments}<{opened}>" if opened else arguments, folder)
        if not named:
            continue
        if call in OTHERS.split(","):
            raise RuntimeError(f"{call} can't be replayed: {line[:200]}")
        name = named[0]
        match call:
            case "open" | "openat" | "creat":
                name = named[-1]
                if name and name not in known and ("O_CREAT" in arguments or call == "creat"):
                    known.add(name)
                    yield Operation("make", name)
                if "O_TRUNC" in arguments:
                    yield Operation("truncate", name, 0)
            case "pwrite64":
                offset = int(arguments.rsplit(", ", 1)[1])
                yield Operation("write", name, offset, _content(arguments)[: int(result)])
            case "write":
                yield Operation("append", name, content=_content(arguments)[: int(result)])
            case "ftruncate":
                yield Operation("truncate", name, int(arguments.rsplit(", ", 1)[1]))
            case "fsync" | "fdatasync":
                yield Operation("sync", name)
            case "unlink" | "unlinkat":
                known.discard(named[-1])
                yield Operation("remove", named[-1])
            case _:
                known.discard(named[-2])
                known.add(named[-1])
                yield Operation("rename", named[-2], to=named[-1])


_PATH = re.compile(r'<((?:\\x[0-9a-f]{2})+)>|"((?:\\x[0-9a-f]{2})+)"')


def _names(arguments: str, folder: str) -> list[str]:
    """Return the names of the folder's files among a call's descriptors and paths; "" is the folder itself."""
    start = "".join(f"\\x{byte:02x}" for byte in os.fsencode(folder))
    names = []
    for descriptor, path in _PATH.findall(arguments):
        if (descriptor or path).startswith(start):
            name = _decoded(descriptor or path)[len(os.fsencode(folder)) :].decode()
            if name == "" or name.startswith("/"):
                names.append(name.removeprefix("/"))
    return names


def _content(arguments: str) -> bytes:
    return _decoded(_BYTES.search(arguments)[1])


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
