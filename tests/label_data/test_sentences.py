"""A sentence has one key, and a wording in every language."""

from collections import Counter

import pytest

from label_data.errors import LONGEST_MESSAGE, InputError
from label_data.sentences import plain, say, sentence_from


def test_a_plain_text_is_the_same_in_every_language():
    assert [plain("Once {only}.").render(language) for language in ("en", "zh", "ja")] == ["Once {only}."] * 3


def test_a_sentence_within_a_sentence_is_rendered_in_the_same_language():
    inner = plain("inner")
    assert str(say("label_data.plain.text", text=inner)) == "inner"


def test_equal_sentences_are_one_key_of_a_counter():
    counter = Counter(say("label_data.plain.text", text=text) for text in ("a", "b", "a"))
    assert counter == {plain("a"): 2, plain("b"): 1}


def test_a_stored_sentence_is_read_back_and_a_text_of_an_earlier_version_stays_as_it_is():
    sentence = say("label_data.plain.text", text=plain("{braces} and 3"))
    assert sentence_from(sentence.as_json) == sentence
    assert sentence_from("Trained.") == plain("Trained.")
    assert sentence_from('{"key": "label_data.plain.gone", "values": {}}').values["text"].startswith('{"key"')


@pytest.mark.parametrize("text", ["null", "3", '"text"', "[]", "{}", '{"key": 3, "values": {}}'])
def test_json_that_is_no_stored_sentence_is_a_plain_text(text):
    assert sentence_from(text) == plain(text)


def test_the_message_of_an_error_is_one_printable_line_of_bounded_length():
    assert str(InputError("label_data.plain.text", text="a\nb\x1b")) == "a\\nb\\x1b"
    long = str(InputError("label_data.plain.text", text="x" * 5_000))
    assert len(long) <= LONGEST_MESSAGE and " … " in long


def test_an_error_gives_its_key_and_its_values():
    error = InputError("label_data.plain.text", text="here")
    assert (error.key, dict(error.values), error.render("ja")) == ("label_data.plain.text", {"text": "here"}, "here")
