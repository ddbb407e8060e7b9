"""Stores that tests start from."""

from pathlib import Path

import pytest

from label_data.annotators import annotator_named
from label_data.assignment import Answer, next_tasks, submit
from label_data.database import Store, open_store
from label_data.records import Completion, Prompt, user_prompt
from label_data.samples import save_samples
from label_data.store import add_prompts


def completions_of(prompt: Prompt, *texts: str) -> list[Completion]:
    """Return completions with these texts, as policy "tiny" would have written them."""
    return [
        Completion(prompt.id, text, "tiny", "1", {"temperature": 0.8}, seed, "stop") for seed, text in enumerate(texts)
    ]


def add_ready_prompt(store: Store, question: str, *texts: str) -> Prompt:
    """Add a prompt with these completions, ready to be ranked."""
    prompt = user_prompt(question)
    add_prompts(store, [prompt])
    save_samples(store, prompt, completions_of(prompt, *(texts or ("first", "second", "third"))))
    return prompt


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return open_store(tmp_path / "store.db")


@pytest.fixture
def ranked_store(store: Store) -> Store:
    """Return a store with one prompt that Ann has ranked in the order shown."""
    add_ready_prompt(store, "Why is the sky blue?")
    ann = annotator_named(store, "Ann")
    (task,) = next_tasks(store, ann.id)
    submit(store, Answer(task.token, "first-submission", "ranked", [[0], [1], [2]], seconds=4.5), ann.id)
    return store
