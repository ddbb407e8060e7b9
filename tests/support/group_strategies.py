"""Hypothesis strategies for groups with everything a record can hold, to test laws of the formats."""

from hypothesis import strategies as st

from label_data.records import Completion, Demonstration, Group, Message, Prompt, Ranking, Span

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["=1+1", "'=x", "-", "\tx", "\r", "a\nb", 'say "no", twice', "שלום\u200f", "\n\nHuman: Hi", "\u2028"]
)
visible_words = words.filter(lambda text: text.strip())
whole = st.none() | st.integers(-(2**63), 2**63 - 1)
jsonable = st.dictionaries(
    words,
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
    | st.lists(words, max_size=2),
    max_size=3,
)


@st.composite
def rankings(draw, prompt, lengths):
    ids = list(lengths)
    shown = draw(st.permutations(ids).flatmap(lambda ids: st.integers(2, len(ids)).map(lambda k: tuple(ids[:k]))))
    outcome = draw(st.sampled_from(["ranked", "all_bad", "indistinguishable", "skipped"]))
    order = []
    if outcome == "ranked":
        placed = draw(st.permutations(shown).flatmap(lambda ids: st.integers(2, len(ids)).map(lambda k: ids[:k])))
        for completion in placed:
            if order and draw(st.booleans()):
                order[-1] += (completion,)
            else:
                order.append((completion,))
    steps = max(0, len(order) - 1)
    step = st.none() | st.integers(1, 3)
    return Ranking(
        prompt.id,
        draw(words.filter(bool)),
        shown,
        tuple(order),
        outcome,
        draw(st.just(()) | st.tuples(*[step] * steps)),
        draw(st.dictionaries(st.sampled_from(shown), st.lists(words, min_size=1, max_size=2).map(sorted).map(tuple))),
        draw(words),
        draw(st.none() | st.floats(0, 1e9)),
        draw(whole),
        draw(whole),
        None,
        draw(st.booleans()),
        draw(st.sampled_from(["person", "import", "model"])),
        draw(words),
        draw(whole),
        ratings=draw(st.dictionaries(st.sampled_from(shown), st.integers(1, 7))),
        spans=tuple(draw(st.lists(spans([id for id in shown if lengths[id]], lengths), max_size=2)))
        if any(lengths[id] for id in shown)
        else (),
    )


@st.composite
def spans(draw, shown, lengths):
    completion = draw(st.sampled_from(shown))
    start = draw(st.integers(0, lengths[completion] - 1))
    return Span(completion, start, draw(st.integers(start + 1, lengths[completion])), draw(visible_words))


@st.composite
def any_group(draw):
    system = draw(st.lists(st.builds(Message, st.just("system"), words), max_size=1))
    before = draw(st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), words), max_size=2))
    prompt = Prompt((*system, *before, Message("user", draw(visible_words))), draw(words), draw(words))
    completion = st.builds(Completion, st.just(prompt.id), words, words, words, jsonable, whole, words)
    completions = draw(st.lists(completion, max_size=4, unique_by=lambda completion: completion.id))
    lengths = {completion.id: len(completion.text) for completion in completions}
    several = st.lists(rankings(prompt, lengths), max_size=3, unique_by=lambda record: record.submission)
    chosen = draw(several) if len(completions) > 1 else []
    written = draw(
        st.lists(
            st.builds(
                Demonstration,
                st.just(prompt.id),
                visible_words,
                words.filter(bool),
                st.sampled_from([None, *lengths]),
                st.sampled_from(["", *(ranking.submission for ranking in chosen)]),
                whole,
                st.sampled_from(["person", "import", "model"]),
                words,
                whole,
            ),
            max_size=2,
            unique_by=lambda record: record.id,
        )
    )
    if chosen and draw(st.booleans()):
        first = chosen[0]
        changed = {"outcome": "skipped", "shown": first.shown, "revises": first.submission, "reason": draw(words)}
        chosen.append(Ranking(prompt.id, first.annotator, **changed))
    return Group(prompt, tuple(completions), tuple(chosen), tuple(written))


some_groups = st.lists(any_group(), min_size=1, max_size=3, unique_by=lambda group: group.prompt.id)
