"""The elements of one long JSON list, one at a time: what Argilla, Label Studio and many others export as .json."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NoReturn

from label_data.errors import InputError
from label_data.files.lines_in import LONGEST_LINE

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+("?)|[{}\[\]]', re.DOTALL)
"""A string, which the end of the text may cut off, or a bracket; all else in JSON opens and closes nothing."""


def elements(pieces: Iterable[str], name: str) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the text of each list or object in the list that the pieces make up.

    Only where an element begins and ends is looked for; whether it is sound JSON is for whoever reads it. Raises
    InputError at an element of more than `LONGEST_LINE` characters, at one that is neither list nor object, and if
    the list does not end or does not end the file.
    """
    text, wanted, number, depth, closed = "", 0, 0, 0, False
    at = end = start = 0  # in the text: where to look on, where the last element ended, where this one began
    for piece in chain(pieces, (None,)):
        text += piece or ""
        if piece is not None and len(text) < wanted:
            continue
        for token in TOKEN.finditer(text, at):
            sign = text[token.start()]
            if sign == '"' and not token[1]:
                break  # look at it again when there is twice as much of it
            if sign in "{[":
                if depth < 2:
                    gap = text[end : token.start()].strip()
                    if gap != ("," if number else "") or (depth == 0 and (closed or sign == "{")):
                        _refuse(name, number, gap or sign)
                    start, end = token.start(), token.end()
                depth += 1
            elif sign in "}]":
                depth -= 1
                if depth == 1:
                    number, end = number + 1, token.end()
                    yield number, text[start:end]
                elif depth == 0:
                    if sign == "}" or text[end : token.start()].strip():
                        _refuse(name, number, text[end : token.end()].strip())
                    end, closed = token.end(), True
                elif depth < 0:
                    _refuse(name, number, sign)
            at = token.end()
        kept = start if depth > 1 else end
        text, at, start, end = text[kept:], at - kept, 0, max(0, end - kept)
        if len(text) > LONGEST_LINE and depth > 1:
            raise InputError(
                f"{name}, element {number + 1}: found more than {LONGEST_LINE // 2**20} Mi characters in one element. "
                "Split it."
            )
        wanted = 2 * len(text)
    if depth:
        raise InputError(f"{name}, after element {number}: found a list that does not end. Copy or load it again.")
    if text.strip():
        _refuse(name, number, text.strip())
    if not number:
        raise InputError(f"{name}: found an empty list. Check that it was written to its end.")


def _refuse(name: str, number: int, found: str) -> NoReturn:
    raise InputError(
        f"{name}, after element {number}: found {found[:30]!r}, where one object, a comma or the list's end belongs. "
        "Write a list of objects: [{…}, {…}]."
    )
