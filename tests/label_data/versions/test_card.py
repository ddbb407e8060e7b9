"""The data card says in numbers what is in a version, and names nobody."""

import pytest

from label_data.records import Completion, Group, user_prompt
from label_data.store.adding import add_groups
from label_data.versions.card import language_of, one_line, pseudonym
from label_data.versions.making import make_version
from label_data.versions.recipes import Recipe
from planted_people import judged, order_untold


@pytest.fixture
def address(sqlite_store):
    """Return the address of a store on SQLite alone: these tests are about files and wording, not about SQL."""
    return sqlite_store


@pytest.fixture
def card(store):
    """Eight prompts that Ann and Ben rank alike and two that they rank the other way round, with a tie in each."""
    groups = [
        judged(
            f"question {number}",
            {"Ann Lee": "a>b=c", "ben": "a>b=c" if number < 8 else "b>a=c"},
            category="facts | <b>" if number % 2 else "",
        )
        for number in range(10)
    ]
    add_groups(store, groups)
    return make_version(store, "v1", Recipe("default", ("outcome=ranked",), margins=(0.25, 0.5, 1.0)))


def test_its_numbers_are_those_counted_by_hand(card):
    """Each ranking gives two comparisons and a tie: 40 and 20.

    Of the three pairs of a prompt, both say the same of all three in eight prompts. In the other two: a>b against b>a;
    a>c against a tie; a tie against b>c. So the same answer in 24 of 30, and of the 18 in which both took a side (two
    in each of eight prompts, one in each of two) the same one in 16.
    """
    held_out = card.manifest["counts"]["held-out prompts"]
    assert f"| train | {10 - held_out} | {40 - 4 * held_out} |" in card.card
    assert f"| held out | {held_out} | {4 * held_out} |" in card.card
    assert "30 completions, 20 rankings by 2 annotators, 0 ties, 0 demonstrations." in card.card
    assert "Two annotators judged the same pair 30 times." in card.card
    assert card.manifest["agreement"]["same"]["value"] == pytest.approx(24 / 30)
    assert card.manifest["agreement"]["decided"]["value"] == pytest.approx(16 / 18)
    assert "Same answer: 80% (" in card.card and "Same side where both took one: 89% (" in card.card
    assert "- 20 x: tied pairs." in card.card


def test_it_names_the_command_the_hash_and_what_was_decided(card):
    assert card.sha256 in card.card
    assert card.manifest["command"] in card.card
    assert "--where outcome=ranked" in card.card and "--margin 1=0.25,2=0.5,3=1" in card.card
    assert "0.25 for strength 1, 0.5 for strength 2, 1 for strength 3" in card.card
    assert "10 families, the largest of\n  1 prompts." in card.card


def test_it_names_no_annotator_and_shows_other_names_as_text(card):
    assert "Ann" not in card.card and "ben" not in card.card
    assert f"| {pseudonym('Ann Lee')} | 10 |" in card.card
    assert "| facts \\| \\<b\\> | 5 |" in card.card and "| not known | 5 |" in card.card
    assert "| policy a | 10 |" in card.card and "Known biases" in card.card
    assert "- Of two completions, the one shown earlier wins" in card.card


def test_it_says_of_how_many_rankings_the_order_on_the_screen_is_not_known(card, store):
    assert "In which order the completions were seen" not in card.card
    add_groups(store, [order_untold(judged(f"another {number}", {"ana": "a>b"})) for number in range(3)])
    reported = make_version(store, "v2", Recipe("default")).card
    assert "- Display order is unknown for 3 of 23 rankings, which were imported." in reported
    alone = make_version(store, "v3", Recipe("default", ("annotator=ana",))).card
    assert "Display order is unknown for 3 of 3 rankings" in alone
    assert "- Of two completions, the one shown earlier wins nobody knows how often" in alone


def test_a_pseudonym_of_the_store_is_shortened_and_a_name_is_hashed():
    assert pseudonym("0123456789abcdef" * 2) == "01234567"
    assert pseudonym("ana") != "ana" and len(pseudonym("ana")) == 8


@pytest.mark.parametrize(
    ("prompt", "completion", "language"),
    [
        ("Write a haiku.", "The old pond is still; a frog leaps into its depths and the water sounds.", "en"),
        ("Warum ist der Himmel blau?", "Weil kurze Wellen stärker gestreut werden als lange.", "de"),
        ("为什么天空是蓝色的？", "因为短波长的光散射得更厉害。", "zh"),
        ("2+2", "4", "none"),
    ],
)
def test_the_language_is_that_of_the_prompt_and_its_completions_together(prompt, completion, language):
    asked = user_prompt(prompt)
    assert language_of(Group(asked, (Completion(asked.id, completion),))) == language


def test_the_card_counts_prompts_by_language(store):
    asked = ("Why is the sky blue at noon?", "Where do the birds go?", "Warum ist der Himmel am Mittag blau?")
    add_groups(store, [judged(text, {"ana": "a>b"}) for text in asked])
    version = make_version(store, "v1", Recipe("default"))
    assert "| language | prompts |\n| --- | ---: |\n| en | 2 |\n| de | 1 |" in version.card


def test_text_of_others_stays_one_short_line():
    assert one_line("a\n`b` " + "x" * 100).startswith("a \\`b\\` xxx") and one_line("x" * 100).endswith("…")
