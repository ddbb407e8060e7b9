"""The elements of one long JSON list, one at a time: what Argilla, Label Studio and many others export as .json."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NoReturn

from label_data.files.lines_in import LONGEST_LINE
from label_data.files.places import after_element, at_element, fault
from label_data.sentences import say

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+("?)|[{}\[\]]', re.DOTALL)
"""A string, which the end of the text may cut off, or a bracket; nothing else in JSON opens or closes anything."""


def elements(pieces: Iterable[str], name: str) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the text of each list or object in the list that the pieces make up.

    Only finds where elements begin and end; the caller parses them. Raises InputError at an element of more than
    `LONGEST_LINE` characters, at one that is neither a list nor an object, if the list is not closed, and at text
    after its end.
    """
    text, wanted, number, depth, closed = "", 0, 0, 0, False
    position = end = start = 0  # in the text: where to go on, where the last element ended, where this one began
    for piece in chain(pieces, (None,)):
        text += piece or ""
        if piece is not None and len(text) < wanted:
            continue
        for token in TOKEN.finditer(text, position):
            character = text[token.start()]
            if character == '"' and not token[1]:
                break  # the string is cut off: look again when the text is twice as long
            if character in "{[":
                if depth < 2:
                    gap = text[end : token.start()].strip()
                    if gap != ("," if number else "") or (depth == 0 and (closed or character == "{")):
                        _refuse(name, number, gap or character)
                    start, end = token.start(), token.end()
                depth += 1
            elif character in "}]":
                depth -= 1
                if depth == 1:
                    number, end = number + 1, token.end()
                    yield number, text[start:end]
                elif depth == 0:
                    if character == "}" or text[end : token.start()].strip():
                        _refuse(name, number, text[end : token.end()].strip())
                    end, closed = token.end(), True
                elif depth < 0:
                    _refuse(name, number, character)
            position = token.end()
        kept = start if depth > 1 else end
        text, position, start, end = text[kept:], position - kept, 0, max(0, end - kept)
        if len(text) > LONGEST_LINE and depth > 1:
            raise fault(at_element(name, number + 1), say("label_data.files.long_element", limit=LONGEST_LINE // 2**20))
        wanted = 2 * len(text)
    if depth:
        raise fault(after_element(name, number), say("label_data.files.list_not_closed"))
    if text.strip():
        _refuse(name, number, text.strip())
    if not number:
        raise fault(name, say("label_data.files.list_empty"))


def _refuse(name: str, number: int, text: str) -> NoReturn:
    raise fault(after_element(name, number), say("label_data.files.no_element", text=text[:30]))
