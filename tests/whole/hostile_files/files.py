"""Hostile and damaged files, each with what must become of it; `python -m tests.whole.hostile_files` imports them."""

import gzip
import json
import os
import pickle
import random
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MIB = 2**20
TURN = "\n\nHuman: Can pigs fly?\n\nAssistant: "
PAIR = {"chosen": TURN + "No.", "rejected": TURN + "Yes."}
LINE = {
    "prompt": "Can pigs fly?",
    "completions": [{"id": "a", "text": "No."}, {"id": "b", "text": "Yes."}],
    "rankings": [{"annotator": "ana", "order": [["a"], ["b"]]}],
}
READ = [["Can pigs fly?", ["No.", "Yes."], [[["No."], ["Yes."]]]]]
"""LINE as stored: last message, texts, orders."""


@dataclass(frozen=True, slots=True)
class HostileFile:
    """A file and the expected result of importing it."""

    fault: str
    """What is wrong with the file, in words."""
    name: str
    content: bytes | Callable[[Path], object]
    """Its bytes, or a function that writes it at a path."""
    refusal: str
    """Parts of the sentence that refuses the file, joined with " … "; empty if the file is accepted."""
    format: str = "groups"
    read: list | None = None
    """If the file is accepted: exactly what the store holds afterwards, as in READ."""
    printed: str = ""
    """If the file is accepted: part of what the command prints, such as what was left out."""


def _json(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


GOOD = _json(LINE)


def refused(fault: str, name: str, content: bytes | Callable[[Path], object], refusal: str, format_: str = "groups"):
    """Return a file that must be refused with a sentence that contains `refusal`."""
    return HostileFile(fault, name, content, refusal, format_)


def accepted(fault: str, name: str, content: bytes, read: list, format_: str = "groups", printed: str = ""):
    """Return a file that must be imported as exactly `read`."""
    return HostileFile(fault, name, content, "", format_, read, printed)


def line(fault: str, content: bytes | Callable[[], bytes], refusal: str) -> HostileFile:
    """Return a file whose second line is `content` and must be refused there."""
    before, after = _json(LINE | {"prompt": "Fine"}), b"\n" + GOOD
    whole = before + content + after if isinstance(content, bytes) else big(lambda: before + content() + after)
    return refused(fault, "a.jsonl", whole, f"line 2{'' if refusal[0] in ':,' else ' … '}{refusal}")


def field(fault: str, refusal: str, **fields: object) -> HostileFile:
    """Return a file whose second line is LINE with these fields replaced."""
    return line(fault, json.dumps(LINE | fields).encode(), refusal)


def ranking(fault: str, refusal: str, **fields: object) -> HostileFile:
    """Return a file whose second line has a ranking with these fields replaced."""
    return field(fault, refusal, rankings=[LINE["rankings"][0] | fields])


def sparse(size: int) -> Callable[[Path], object]:
    """Return a function that writes a sparse file of `size` NULs, which takes no room on the disk."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return make


def packed(piece: bytes, times: int, before: bytes = b"") -> Callable[[Path], object]:
    """Return a function that writes a gzip file of `times` equal members, after a member that holds `before`."""
    return big(
        lambda: (gzip.compress(before) if before else b"") + gzip.compress(piece * (16 * MIB // len(piece))) * times
    )


def big(content: Callable[[], bytes]) -> Callable[[Path], object]:
    """Return a function that writes these bytes, which are made only then."""
    return lambda path: path.write_bytes(content())


def table(columns: Callable[[], dict[str, object] | pa.Table], **options: object) -> Callable[[Path], object]:
    """Return a function that writes a Parquet file of these columns, which are made only then."""

    def make(path: Path) -> None:
        content = columns()
        pq.write_table(content if isinstance(content, pa.Table) else pa.table(content), path, **options)

    return make


def damaged(make: Callable[[Path], object], change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Return a function that writes a file and then changes its bytes."""

    def both(path: Path) -> None:
        make(path)
        path.write_bytes(change(path.read_bytes()))

    return both


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("../../escaped.jsonl", "/absolute.jsonl", "C:\\x.jsonl"):
            file.writestr(name, GOOD)
        link = zipfile.ZipInfo("link.jsonl")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
        file.writestr("bomb.jsonl", b"\0" * 8 * MIB)


def _many_rows(path: Path) -> None:
    """Write a Parquet file whose footer claims 2**40 rows: the count is a zigzag varint, in which 3 is 6."""
    pq.write_table(pa.table({"prompt": ["a", "b", "c"]}), path)
    content = path.read_bytes()
    (size,) = struct.unpack("<I", content[-8:-4])
    footer = content[-8 - size : -8].replace(b"\x16\x06", b"\x16\x80\x80\x80\x80\x80\x40")
    path.write_bytes(content[: -8 - size] + footer + struct.pack("<I", len(footer)) + b"PAR1")


EIGHT_MILLION = 8 * 10**6
PAIRS = {"chosen": [PAIR["chosen"]], "rejected": [PAIR["rejected"]]}
DEEP = 100_000
UTF_16 = json.dumps(LINE, ensure_ascii=False)
EMOJI = "😀"

FILES = [
    # How text is written
    refused("UTF-16 with a byte order mark", "a.jsonl", UTF_16.encode("utf-16"), "line 1: found UTF-16 text"),
    refused(
        "UTF-16 without a byte order mark", "a.jsonl", UTF_16.encode("utf-16-le"), "line 1: invalid JSON at character 2"
    ),
    refused("UTF-16 text of prompts", "a.txt", "Why?\nWho?\n".encode("utf-16"), "line 1: found UTF-16", "prompts"),
    refused(
        "UTF-16 prompts without a mark",
        "a.txt",
        "Why?\n".encode("utf-16-le"),
        "line 1: A user message holds a NUL",
        "prompts",
    ),
    refused("UTF-32", "a.jsonl", UTF_16.encode("utf-32"), "line 1: found UTF-16 text"),
    line("Latin-1", b'{"prompt": "caf\xe9"}', ": found byte 0xe9 at 16, which is not UTF-8"),
    line("Windows-1252 quotes", b'{"prompt": "\x93a\x94"}', ": found byte 0x93 at 13, which is not UTF-8"),
    line("an overlong slash", b'{"prompt": "\xc0\xaf"}', ": found byte 0xc0 at 13, which is not UTF-8"),
    line("a raw lone surrogate", b'{"prompt": "\xed\xa0\x80"}', ": found byte 0xed at 13, which is not UTF-8"),
    line("a character beyond Unicode", b'{"prompt": "\xf5\x80\x80\x80"}', ": found byte 0xf5 at 13"),
    refused(
        "a file that ends inside a character",
        "a.jsonl",
        GOOD + b'{"prompt": "\xf0\x9f\x98',
        "line 2: found byte 0xf0 at 13",
    ),
    line(
        "an escaped lone surrogate",
        b'{"prompt": "\\ud800"}',
        ", field prompt: the text contains half of a surrogate pair",
    ),
    line(
        "surrogates the wrong way round",
        b'{"prompt": "\\ude00\\ud83d"}',
        ", field prompt: the text contains half of a surrogate pair",
    ),
    line("a lone surrogate as a name", b'{"\\udfff": 1}', ": the name of a field contains half of a surrogate pair"),
    line("a raw NUL", b'{"prompt": "a\0b"}', ": invalid JSON at character 14 (Invalid control character"),
    line("an escaped NUL", b'{"prompt": "a\\u0000b"}', ", field prompt: the text holds a NUL character"),
    line("a NUL in a name", b'{"a\\u0000": 1}', ": the name of a field holds a NUL character"),
    line("control characters in a string", b'{"prompt": "a\tb"}', ": invalid JSON at character 14 (Invalid control"),
    field(
        "orders to the terminal in a name",
        "field '\\x1b[2J\\x1b]0;x\\x07': unknown field",
        **{"\x1b[2J\x1b]0;x\x07": 1},
    ),
    field("orders to the terminal in a role", "has role '\\x1b[2J'", prompt=[{"role": "\x1b[2J", "content": "x"}]),
    field("a role of a megabyte", "A message has role 'xxx", prompt=[{"role": "x" * MIB, "content": "x"}]),
    field(
        "an id of a megabyte",
        "which the line does not have",
        rankings=[{"annotator": "a", "order": [["x" * MIB], ["a"]]}],
    ),
    accepted("a byte order mark", "a.jsonl", b"\xef\xbb\xbf" + GOOD, READ),
    line("a second byte order mark", b"\xef\xbb\xbf" + GOOD.strip(), ": invalid JSON at character 1"),
    accepted(
        "U+2028, U+0085 and VT are no line ends",
        "a.txt",
        "a\u2028b\u0085c\x0bd\n".encode(),
        [["a\u2028b\u0085c\x0bd", [], []]],
        "prompts",
    ),
    accepted(
        "U+2028 in JSON",
        "a.jsonl",
        json.dumps(LINE | {"prompt": "a\u2028b"}, ensure_ascii=False).encode(),
        [["a\u2028b", *READ[0][1:]]],
    ),
    accepted(
        "DOS line ends and no last line end",
        "a.jsonl",
        b"\r\n" + GOOD.strip() + b"\r\n\r\n" + GOOD.strip(),
        READ,
        printed="Already in the store",
    ),
    refused(
        "carriage returns alone, JSON",
        "a.jsonl",
        GOOD.strip() + b"\r" + GOOD.strip(),
        "invalid JSON at character 164 (Extra data)",
    ),
    refused("carriage returns alone, text", "a.txt", b"Why?\rWho?\r", "line 1: found carriage returns", "prompts"),
    refused("carriage returns alone, CSV", "a.csv", b"prompt\rWhy?\rWho?\r", "line 1: invalid CSV", "prompts"),
    # JSON
    line("NaN", b'{"prompt": NaN}', ": found the number NaN, which is not finite"),
    line("-Infinity, deep inside", b'{"prompt": [{"a": [-Infinity]}]}', ": found the number -Infinity"),
    line("1e999", b'{"prompt": 1e999}', ": found the number 1e999, which is not finite"),
    line(
        "a number of 100,000 digits",
        b'{"prompt": ' + b"9" * 100_000 + b"}",
        ": found a number with thousands of digits",
    ),
    field(
        "a number of 4,000 digits",
        "field completions[1].seed: found a number with too many digits",
        completions=[{"text": "a", "seed": 10**4_000}],
    ),
    line("a name twice", b'{"prompt": "a", "prompt": "b"}', ": field 'prompt' appears twice in one object"),
    line(
        "a name twice, deep inside",
        b'{"prompt": [{"role": "user", "content": "a", "content": "b"}]}',
        ": field 'content' appears twice",
    ),
    line(
        "100,000 lists in one another",
        b'{"prompt": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        ": found lists or objects nested more than 40 deep",
    ),
    line(
        "100,000 objects in one another",
        b'{"a": ' * DEEP + b"1" + b"}" * DEEP,
        ": found lists or objects nested more than 40 deep",
    ),
    line(
        "sixteen million open brackets", lambda: b"[" * (16 * MIB - 1), ": found more than 300,000 values in one line"
    ),
    line(
        "five million empty objects",
        lambda: b'{"prompt": [' + b"{}," * 5_000_000 + b"{}]}",
        ": found more than 300,000 values",
    ),
    line(
        "300,000 values where none are wanted",
        lambda: b'{"zzz": [' + b"{}," * 149_000 + b"{}]}",
        ", field zzz: unknown field",
    ),
    line(
        "300,000 names in one object",
        lambda: json.dumps({str(n): n for n in range(290_000)}).encode(),
        ", field 0: unknown field",
    ),
    line(
        "a line of 15 MiB, four bytes a sign in memory",
        lambda: ('{"prompt": "' + EMOJI + "x" * 15 * MIB + '"}').encode(),
        ", field prompt: A user message is too long: 15,728,641 characters",
    ),
    line(
        "a line of 15 MiB with escapes",
        lambda: b'{"prompt": "\\u2028' + b"\\n" * (15 * MIB // 2) + b'"}',
        ", field prompt: A user message is too long: 7,864,321 characters",
    ),
    refused(
        "a JSON list in place of lines", "a.jsonl", json.dumps([LINE]).encode(), "line 1: found a list, not an object"
    ),
    refused(
        "a JSON list over several lines",
        "a.jsonl",
        json.dumps([LINE], indent=1).encode(),
        "line 1: invalid JSON at character 2",
    ),
    line("a number", b"17", ": found the number 17, not an object"),
    line(
        "two objects in a line",
        GOOD.strip() + GOOD.strip(),
        ": invalid JSON at character 163 (Extra data)",
    ),
    line("an object cut off", GOOD.strip()[:-5], ": invalid JSON at character 158"),
    line("Python in place of JSON", b"{'prompt': 'a', 'x': None}", ": invalid JSON at character 2"),
    line("CSV after JSON", b"prompt,category", ": invalid JSON at character 1"),
    line("a comment", b"// no", ": invalid JSON at character 1"),
    # Size
    refused("a line of 1 GiB", "a.jsonl", sparse(1024 * MIB), "line 1: found more than 16 MiB in one line"),
    refused("a line of 1 GiB, as prompts", "a.txt", sparse(1024 * MIB), "line 1: found more than 16 MiB", "prompts"),
    refused("a CSV cell of 1 GiB", "a.csv", sparse(1024 * MIB), "line 1: found more than 16 MiB", "prompts"),
    refused(
        "four million blank lines",
        "a.jsonl",
        big(lambda: b"\n" * 4 * MIB),
        "line 100001: found more than 100,000 blank lines",
    ),
    refused(
        "four million blank lines of CSV",
        "a.csv",
        big(lambda: b"prompt\n" + b"\n" * 4 * MIB),
        "found more than 100,000 blank",
        "prompts",
    ),
    refused(
        "300,000 tiny lines",
        "a.jsonl",
        big(lambda: b"{}\n" * 300_000),
        "line 1, field prompt: missing; there are no fields",
    ),
    refused(
        "a quote that never ends, CSV",
        "a.csv",
        big(lambda: b'prompt\n"' + b"a,\n" * 2_000_000),
        "invalid CSV (field larger than",
        "prompts",
    ),
    refused(
        "two million columns",
        "a.csv",
        big(lambda: ",".join(map(str, range(1_900_000))).encode() + b"\n"),
        "line 1: found more than 300,000 commas",
        "prompts",
    ),
    refused(
        "8 million columns of one name",
        "a.csv",
        big(lambda: b"a," * (8 * MIB - 2) + b"\n"),
        "line 1: found more than 300,000 commas",
        "prompts",
    ),
    refused("an empty file", "a.jsonl", b"", "a.jsonl: the file is empty"),
    refused("an empty file of prompts", "a.txt", b"\n \n", "a.txt: the file is empty", "prompts"),
    refused(
        "a CSV with a header alone", "a.csv", b"prompt\n", "a.csv: found no rows below the header prompt", "prompts"
    ),
    # gzip, zip
    refused(
        "a gzip bomb of one line",
        "a.jsonl.gz",
        packed(b"a", 64),
        "the gzip data unpacks to more than 100",
    ),
    refused(
        "a gzip bomb of blank lines",
        "a.jsonl.gz",
        packed(b"\n", 64),
        "the gzip data unpacks to more than 100",
    ),
    refused(
        "a gzip bomb of good lines",
        "a.jsonl.gz",
        packed(GOOD, 64),
        "the gzip data unpacks to more than 100",
    ),
    refused(
        "a gzip bomb of blank lines behind ten good prompts of noise",
        "a.txt.gz",
        packed(b"\n", 64, b"\n".join(random.Random(seed).randbytes(10_000).hex().encode() for seed in range(10))),
        "line 100011: found more than 100,000 blank lines",
        "prompts",
    ),
    refused("gzip in gzip", "a.jsonl.gz", gzip.compress(gzip.compress(GOOD)), "line 1: found gzip data"),
    refused(
        "gzip that is not called so",
        "a.jsonl",
        gzip.compress(GOOD),
        "line 1: found gzip data. Give the file a name that ends in .gz",
    ),
    refused("gzip that breaks off", "a.jsonl.gz", gzip.compress(GOOD * 99)[:-9], "is cut off before its end"),
    refused(
        "gzip with another checksum",
        "a.jsonl.gz",
        gzip.compress(GOOD)[:-8] + b"\0" * 8,
        "invalid gzip data (incorrect data check)",
    ),
    refused(
        "gzip with garbage after it",
        "a.jsonl.gz",
        gzip.compress(GOOD) + b"garbage",
        "after line 1: invalid gzip data",
    ),
    accepted(
        "gzip of several members, with NULs after them",
        "a.jsonl.gz",
        gzip.compress(GOOD[:50]) + gzip.compress(GOOD[50:]) + b"\0" * 512,
        READ,
    ),
    refused(
        "a gzip header without end",
        "a.jsonl.gz",
        big(lambda: b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"a" * 4 * MIB),
        "is cut off before its end",
    ),
    refused(
        "300,000 gzip members that hold nothing",
        "a.jsonl.gz",
        big(lambda: gzip.compress(b"", mtime=0) * 300_000),
        "more than 100,000 empty gzip members",
    ),
    refused("zip with .., absolute names, a link and a bomb", "a.zip", _zip, "line 1: found a zip archive. Unpack it"),
    refused("zip that is called JSON", "a.jsonl", _zip, "line 1: found a zip archive"),
    refused("zip as prompts", "a.csv", _zip, "line 1: found a zip archive", "prompts"),
    # Parquet
    refused(
        "a Parquet dictionary: 40 MiB said 8 times",
        "a.parquet",
        table(
            lambda: {"prompt": pa.DictionaryArray.from_arrays(pa.array([0] * 8, pa.int32()), ["a" * 40 * MIB])},
            compression="zstd",
            dictionary_pagesize_limit=2**30,
        ),
        "after row 0: found rows that need more than 128 MiB",
    ),
    refused(
        "a Parquet dictionary: 15 MiB said 100 times, plain strings",
        "a.parquet",
        table(
            lambda: {"prompt": pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), ["a" * 15 * MIB])},
            compression="zstd",
            dictionary_pagesize_limit=2**30,
            store_schema=False,
        ),
        "after row 0: found rows that need more than 128 MiB of memory",
    ),
    refused(
        "one row of a list of 8 million nulls",
        "a.parquet",
        table(
            lambda: {
                "prompt": pa.ListArray.from_arrays(
                    pa.array([0, EIGHT_MILLION], pa.int32()), pa.nulls(EIGHT_MILLION, pa.int8())
                )
            },
            compression="zstd",
        ),
        "after row 0: found rows that need more than 128 MiB",
    ),
    refused(
        "a plain page of 144 MiB",
        "a.parquet",
        table(lambda: {"prompt": ["a" * 144 * MIB]}, compression="zstd", use_dictionary=False),
        "after row 0: found rows that need more than 128 MiB",
    ),
    refused(
        "three million rows in a few bytes",
        "a.parquet",
        table(lambda: {"prompt": pa.nulls(3_000_000, pa.string())}),
        "after row 0: found more rows than bytes: 3,000,000",
    ),
    refused(
        "200,000 equal good rows in 10 kB",
        "a.parquet",
        table(lambda: {name: text * 200_000 for name, text in PAIRS.items()}),
        "the Parquet data unpack to more than 100 times",
        "hh-rlhf",
    ),
    refused("a Parquet footer that says 2^40 rows", "a.parquet", _many_rows, "found more rows than bytes"),
    refused(
        "a Parquet footer whose length is a lie",
        "a.parquet",
        damaged(table(lambda: PAIRS), lambda old: old[:-8] + b"\xff\xff\xff\x7fPAR1"),
        "invalid Parquet data",
    ),
    refused(
        "Parquet that breaks off",
        "a.parquet",
        damaged(table(lambda: PAIRS), lambda old: old[:-20]),
        "invalid Parquet data",
        "hh-rlhf",
    ),
    refused(
        "Parquet with its data page zeroed",
        "a.parquet",
        damaged(table(lambda: PAIRS), lambda old: old[:4] + b"\0" * 60 + old[64:]),
        "invalid Parquet data",
        "hh-rlhf",
    ),
    refused(
        "Parquet of wrong types",
        "a.parquet",
        table(lambda: {"chosen": [1], "rejected": [True]}),
        "row 1, field chosen: found the number 1. Write a text.",
        "hh-rlhf",
    ),
    refused(
        "Parquet of other columns",
        "a.parquet",
        table(lambda: {"x": ["a"], "y": [None]}),
        "row 1, field chosen: missing; the fields are x, y",
        "hh-rlhf",
    ),
    refused(
        "Parquet of nested columns where texts are wanted",
        "a.parquet",
        table(lambda: {"chosen": [[["a"]]], "rejected": [{"b": 1}]}),
        "row 1, field chosen: found a list",
        "hh-rlhf",
    ),
    refused(
        "Parquet of bytes where texts are wanted",
        "a.parquet",
        table(lambda: {"chosen": [b"\xff\0"], "rejected": [b""]}),
        "row 1, field chosen: found an object",
        "hh-rlhf",
    ),
    refused(
        "Parquet text that is not UTF-8",
        "a.parquet",
        table(
            lambda: {"chosen": pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xe9"))}
        ),
        "after row 0: found text that is not UTF-8",
        "hh-rlhf",
    ),
    refused(
        "Parquet text with a NUL, row 3",
        "a.parquet",
        table(lambda: {"chosen": PAIRS["chosen"] * 2 + ["a\0"], "rejected": PAIRS["rejected"] * 3}),
        "row 3, field chosen: the text holds a NUL",
        "hh-rlhf",
    ),
    refused(
        "two Parquet columns of one name",
        "a.parquet",
        table(lambda: pa.Table.from_arrays([pa.array(["a"])] * 2, names=["chosen"] * 2)),
        "found two columns with the same name",
        "hh-rlhf",
    ),
    refused(
        "a Parquet time beyond Python's",
        "a.parquet",
        table(lambda: {"chosen": pa.array([2**31 - 1], pa.date32())}),
        "invalid Parquet data",
        "hh-rlhf",
    ),
    refused(
        "a Parquet table without a row",
        "a.parquet",
        table(lambda: {"prompt": pa.array([], pa.string())}),
        "found no rows",
    ),
    refused("JSON that is called Parquet", "a.parquet", GOOD, "invalid Parquet data"),
    refused("Parquet that is called JSON", "a.jsonl", table(lambda: PAIRS), "line 1: found Parquet"),
    accepted(
        "Parquet with a column of NaN, of bytes and of times",
        "a.parquet",
        table(lambda: {**PAIRS, "nan": [float("nan")], "bytes": [b"\xff"], "at": pa.array([0], pa.timestamp("us"))}),
        READ,
        "hh-rlhf",
        "field 'bytes' (not kept)",
    ),
    # Another kind of file
    refused("a web page", "a.jsonl", b"<!DOCTYPE html><html><body>Log in</body></html>", "line 1: found a web page"),
    refused("a web page as prompts", "a.txt", b"<!doctype html>\n<p>Log in", "line 1: found a web page", "prompts"),
    refused("a PDF", "a.jsonl", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "line 1: found a PDF"),
    refused("a picture", "a.jsonl", b"\x89PNG\r\n\x1a\n\0\0", "line 1: found a picture"),
    refused("a pickle", "a.jsonl", pickle.dumps(PAIR), "line 1: found byte 0x80 at 1, which is not UTF-8"),
    refused(
        "a pickle that runs a command, protocol 0",
        "a.jsonl",
        b"cos\nsystem\n(S'touch escaped'\ntR.",
        "line 1: invalid JSON at character 1",
    ),
    refused(
        "an SQLite database",
        "a.jsonl",
        lambda path: sqlite3.connect(path).executescript("CREATE TABLE t (a)"),
        "line 1: found an SQLite database",
    ),
    refused("a megabyte of noise", "a.jsonl", random.Random(0).randbytes(MIB), "line 1: found byte"),
    refused("a program", "a.jsonl", b"\x7fELF\x02\x01\x01" + b"\0" * 99, "line 1: invalid JSON at character 1"),
    refused("YAML", "a.jsonl", b"prompt: Can pigs fly?\n", "line 1: invalid JSON at character 1"),
    refused("transcripts given as groups", "a.jsonl", _json(PAIR), "line 1, field chosen: unknown field"),
    refused(
        "groups given as transcripts",
        "a.jsonl",
        GOOD,
        "line 1, field chosen: missing; the fields are prompt, completions",
        "hh-rlhf",
    ),
    refused(
        "groups given as TRL",
        "a.jsonl",
        GOOD,
        "line 1, field chosen: missing; the fields are prompt, completions",
        "trl",
    ),
    refused("a folder", "a.jsonl", lambda path: path.mkdir(), "a.jsonl: no file name in this folder"),
    refused("a pipe that nobody writes to", "a.jsonl", os.mkfifo, "a.jsonl: this is a pipe or a device, not a file"),
    refused("a pipe called Parquet", "a.parquet", os.mkfifo, "a.parquet: this is a pipe or a device"),
    refused(
        "a link to /dev/zero",
        "a.jsonl",
        lambda path: path.symlink_to("/dev/zero"),
        "a.jsonl: this is a pipe or a device",
    ),
    refused(
        "a link to itself", "a.jsonl", lambda path: path.symlink_to("a.jsonl"), "Too many levels of symbolic links"
    ),
    refused("a link to nothing", "a.parquet", lambda path: path.symlink_to("b"), "No such file or directory"),
    refused("no file at all", "a.jsonl.gz", lambda path: None, "No such file or directory"),
    refused(
        "a file that cannot be read",
        "a.jsonl",
        lambda path: path.symlink_to("/proc/self/mem"),
        "a.jsonl: the file can't be read (Input/output error)",
    ),
    refused(
        "a name that is not UTF-8",
        os.fsdecode(b"\xff\x1b[2J.jsonl"),
        b"{}",
        "\\udcff\\x1b[2J.jsonl, line 1, field prompt: missing",
    ),
    refused(
        "a good file whose name is not UTF-8",
        os.fsdecode(b"\xff.jsonl"),
        GOOD,
        "A prompt's source contains half of a surrogate pair",
    ),
    refused("a name with a line end", "a\nb.jsonl", b"{}", "a\\nb.jsonl, line 1, field prompt: missing"),
    # Fields
    field("a number as the prompt", ", field prompt: found the number 5. Write a text.", prompt=5),
    field("true as the prompt", ", field prompt: found true. Write a text.", prompt=True),
    field("an empty prompt", ", field prompt: A prompt's last message is empty", prompt=" \n"),
    field("an empty conversation", ", field prompt: The value is an empty list", prompt=[]),
    field("a message that is none", ", field prompt: The value, message 1: not an object with", prompt=["Hi"]),
    field(
        "a conversation that ends with the assistant",
        ", field prompt: A prompt ends with role 'assistant'",
        prompt=[{"role": "assistant", "content": "Hi"}],
    ),
    field(
        "a message whose content is parts",
        "A user message is list, not text",
        prompt=[{"role": "user", "content": [{"type": "text"}]}],
    ),
    field("a prompt of 200,001 characters", "A user message is too long: 200,001 characters", prompt="x" * 200_001),
    field("a source of 1,001 characters", "A prompt's source is too long: 1,001 characters", source="x" * 1_001),
    field(
        "completions that are all equal",
        ", field completions[2]: an earlier completion has the same text and policy",
        completions=[{"text": "No."}, {"text": "No."}],
    ),
    field(
        "two completions of one id",
        ", field completions[2]: an earlier completion has the id 'a' too",
        completions=[{"id": "a", "text": "1"}, {"id": "a", "text": "2"}],
    ),
    field(
        "10,000 completions",
        ", field completions: found a list of length 10,000; the limit for one prompt is 1,000",
        completions=[{"text": str(n)} for n in range(10_000)],
    ),
    field(
        "20,000 rankings of one prompt",
        ", field rankings: found a list of length 20,000; the limit for one prompt is 10,000",
        rankings=[{"annotator": str(n), "order": [["a"], ["b"]]} for n in range(20_000)],
    ),
    field(
        "a completion that is a text",
        ", field completions[1]: found a text. Write an object",
        completions=["No."],
    ),
    field(
        "a completion without text",
        ", field completions[1].text: missing; the fields are id",
        completions=[{"id": "a"}],
    ),
    field("a misspelt field", ", field completons: unknown field", completons=[]),
    field("rankings that are an object", ", field rankings: found an object. Write a list.", rankings={"a": 1}),
    ranking(
        "a ranking of an unknown id",
        ", field rankings[1].order[2]: found completion 'z', which the line does not have",
        order=[["a"], ["z"]],
    ),
    ranking("a ranking that names one twice", ", field rankings[1]: A ranking of prompt", order=[["a"], ["a"]]),
    ranking("an empty group of a ranking", ", field rankings[1]: A ranking of prompt", order=[["a"], [], ["b"]]),
    ranking("an order that is a list of ids", ", field rankings[1].order[1]: found a text", order=["a", "b"]),
    ranking(
        "ranks in place of an order",
        ", field rankings[1].order: found an object. Write a list.",
        order={"a": 1, "b": -2},
    ),
    ranking("true as an id", ", field rankings[1].order[1]: found true", order=[[True], ["b"]]),
    ranking("a strength of true", ", field rankings[1].strength: found true. Write 1, 2, 3 or null", strength=[True]),
    ranking("a strength of -1", "has strengths [-1]. Each must be 1, 2, 3 or null", strength=[-1]),
    ranking("a strength of 10^300", "Each must be 1, 2, 3 or null", strength=[10**300]),
    ranking("more strengths than steps", "has 2 strengths for 2 groups", strength=[1, 1]),
    ranking("negative seconds", "took -1.0 seconds. Give a finite number of at least 0", seconds=-1),
    ranking("true as seconds", ", field rankings[1].seconds: found true. Write a finite number", seconds=True),
    ranking("a time of 2^63", ", field rankings[1].submitted: found the number 9223372036854775808", submitted=2**63),
    ranking("an unheard-of outcome", "has outcome 'best'. Use one of: ranked", outcome="best"),
    ranking("an annotator without a name", "has no annotator. Name the annotator", annotator=""),
    ranking("an annotator of 201 characters", "An annotator's name is too long: 201 characters", annotator="x" * 201),
    ranking("a rating of true", "Each must be a whole number from 1 to 7", ratings={"a": True}),
    ranking(
        "a flag of 41 characters", "field rankings[1].flags: A flag is too long: 41 characters", flags={"a": ["x" * 41]}
    ),
    ranking(
        "a span beyond the text",
        "marks text beyond the end of a completion",
        spans=[{"completion": "a", "start": 0, "end": 9, "kind": "x"}],
    ),
    refused(
        "one submission with two judgements",
        "a.jsonl",
        b"".join(
            _json(LINE | {"rankings": [{"annotator": "a", "submission": "s", "order": order}]})
            for order in ([["a"], ["b"]], [["b"], ["a"]])
        ),
        "a.jsonl, after 2 rows … is stored already with another judgement",
    ),
    accepted(
        "ids, names and flags that look like something else",
        "a.jsonl",
        _json(
            {
                "prompt": "=1+1",
                "completions": [{"id": "__proto__", "text": "=cmd|' /C calc'!A0"}, {"id": "../../x", "text": ""}],
                "rankings": [{"annotator": "'; DROP TABLE rankings; --", "order": [["../../x"], ["__proto__"]]}],
            }
        ),
        [["=1+1", ["=cmd|' /C calc'!A0", ""], [[[""], ["=cmd|' /C calc'!A0"]]]]],
    ),
    accepted(
        "a tie, and a ranking said twice",
        "a.jsonl",
        _json(LINE | {"rankings": [{"annotator": "ana", "order": [["a", "b"]]}] * 2}),
        [["Can pigs fly?", ["No.", "Yes."], [[["No.", "Yes."]]]]],
        printed="Already in the store, or earlier in the files: 0 prompts, 0 completions and 1 ranking",
    ),
    accepted(
        "a ranking that revises none of its line",
        "a.jsonl",
        _json(LINE | {"rankings": [LINE["rankings"][0] | {"revises": "gone"}]}),
        READ,
        printed="Left out, 1 x: field 'revises'",
    ),
    # CSV and text
    accepted(
        "formulas in cells",
        "a.csv",
        b'prompt,x\n"=HYPERLINK(""http://x"")",1\n@SUM(1),2\n"-1+1\tx",3\n',
        [['=HYPERLINK("http://x")', [], []], ["@SUM(1)", [], []], ["-1+1\tx", [], []]],
        "prompts",
        "Left out, 3 x: field 'x' (not kept)",
    ),
    refused(
        "a CSV row of more cells than columns",
        "a.csv",
        b"prompt,category\na,b,c\n",
        "line 2: found 3 cells under 2 columns",
        "prompts",
    ),
    refused(
        "a CSV with semicolons",
        "a.csv",
        b"prompt;category\nWhy?;sky\n",
        "line 1: found no comma in prompt;category",
        "prompts",
    ),
    refused(
        "a CSV with a NUL", "a.csv", b"prompt\na\0b\n", "line 2, field prompt: A user message holds a NUL", "prompts"
    ),
    refused(
        "two CSV columns of one name",
        "a.csv",
        b"prompt,prompt\na,b\n",
        "line 1: found two columns with the same name",
        "prompts",
    ),
    refused(
        "a category of 101 characters",
        "a.csv",
        b"prompt,category\na," + b"x" * 101 + b"\n",
        "line 2, field prompt: A category is too long: 101 characters",
        "prompts",
    ),
    accepted(
        "comparisons given as prompts",
        "a.jsonl",
        _json(PAIR | {"prompt": "Why?"}),
        [["Why?", [], []]],
        "prompts",
        "Left out, 1 x: field 'chosen' (not kept)",
    ),
    # Transcripts and comparisons
    refused(
        "a transcript that begins with no turn",
        "a.jsonl",
        _json(PAIR | {"chosen": "No."}),
        "line 1, field chosen: found a text that does not begin with a turn",
        "hh-rlhf",
    ),
    accepted(
        "two equal transcripts",
        "a.jsonl",
        _json({"chosen": TURN, "rejected": TURN}),
        [],
        "hh-rlhf",
        "Left out, 1 x: pair or row with equal completions",
    ),
    accepted(
        "a transcript of 100,000 turns beside another",
        "a.jsonl",
        _json({"chosen": TURN * DEEP, "rejected": TURN}),
        [],
        "hh-rlhf",
        "Left out, 1 x: pair that differs in more than",
    ),
    refused(
        "a transcript of a system in the middle",
        "a.jsonl",
        _json(
            {
                "prompt": [
                    {"role": "user", "content": "a"},
                    {"role": "system", "content": "b"},
                    {"role": "user", "content": "c"},
                ],
                "chosen": [{"role": "assistant", "content": "x"}],
                "rejected": [{"role": "assistant", "content": "y"}],
            }
        ),
        "line 1: A prompt has a system message after its first message",
        "trl",
    ),
    refused(
        "one side of TRL's a list, the other a text",
        "a.jsonl",
        _json({"prompt": "a", "chosen": [], "rejected": "x"}),
        "line 1, field chosen: found a list. Write a text.",
        "trl",
    ),
    accepted(
        "a column nobody knows, many times",
        "a.jsonl",
        _json(PAIR | {"x" * 5_000: 1}),
        READ,
        "hh-rlhf",
        "Left out, 1 x: field 'xxxx",
    ),
]
