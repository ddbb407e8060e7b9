"""What is exported for TRL loads in `datasets` without glue, and TRL's RewardTrainer takes a step on it."""

import math
from dataclasses import replace

import pytest

from label_data.exchange.exporting import export_file
from label_data.records import Completion, Demonstration, Group, Ranking, user_prompt
from label_data.store.adding import add_groups


@pytest.fixture
def address(sqlite_store):
    """Return the address of a store on SQLite alone: these tests are about files and wording, not about SQL."""
    return sqlite_store


BUILDER = {".jsonl": "json", ".jsonl.gz": "json", ".parquet": "parquet"}


@pytest.fixture(scope="module")
def tiny_model(packaged_model_folder):
    """Return (network, tokenizer): the packaged tokenizer and its chat template, on a network of two small layers."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(packaged_model_folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_labels=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForSequenceClassification(config), tokenizer


@pytest.fixture
def exported(store, tmp_path):
    """Return a function that exports a store of two prompts, one ranked with a strength, and loads the file."""
    from datasets import load_dataset

    def ranked(question, *texts, strength=()):
        prompt = user_prompt(question)
        completions = tuple(Completion(prompt.id, text, "tiny") for text in texts)
        ids = tuple(completion.id for completion in completions)
        ranking = Ranking(prompt.id, "ana", ids, tuple((id,) for id in ids), strength=strength)
        return Group(prompt, completions, (ranking,))

    pigs, sky = ranked("Can pigs fly?", "No.", "Yes.", strength=(2,)), ranked("空はなぜ青い?", "散乱。", "海。", "?")
    add_groups(store, [replace(pigs, demonstrations=(Demonstration(pigs.prompt.id, "They can't.", "ana"),)), sky])

    def load(ending, with_margin=False, format_="trl"):
        path = tmp_path / f"comparisons{ending}"
        export_file(store, path, format_, with_margin=with_margin)
        return load_dataset(BUILDER[ending], data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))

    return load


@pytest.mark.parametrize("ending", BUILDER)
def test_datasets_loads_the_file_with_one_row_a_comparison(exported, ending):
    """One comparison of two completions, and three of three."""
    loaded = exported(ending)
    assert sorted(loaded.column_names) == ["chosen", "prompt", "rejected"]
    assert len(loaded) == 4
    assert loaded[0] == {
        "prompt": [{"role": "user", "content": "Can pigs fly?"}],
        "chosen": [{"role": "assistant", "content": "No."}],
        "rejected": [{"role": "assistant", "content": "Yes."}],
    }
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in loaded][1:] == [
        ("散乱。", "海。"),
        ("散乱。", "?"),
        ("海。", "?"),
    ]


@pytest.mark.parametrize(
    ("ending", "with_margin", "format_"),
    [
        (".jsonl", False, "trl"),
        (".parquet", True, "trl"),
        (".jsonl", True, "trl-implicit"),
        (".jsonl", True, "trl-text"),
    ],
)
def test_a_step_of_reward_training_is_taken_on_the_file(exported, tiny_model, tmp_path, ending, with_margin, format_):
    """A network that can't tell the pairs apart has the mean of -log sigmoid(-margin) as its loss.

    Without margins that is log 2 = 0.693. With margins 2, 0, 0, 0 it is (2.127 + 3 * 0.693) / 4 = 1.052. The rewards
    of this small untrained network are within 0.2 of one another.
    """
    from trl import RewardConfig, RewardTrainer

    loaded = exported(ending, with_margin, format_)
    network, tokenizer = tiny_model
    before = network.score.weight.detach().clone()
    config = RewardConfig(
        output_dir=str(tmp_path / "run"),
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        max_steps=1,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = RewardTrainer(model=network, args=config, train_dataset=loaded, processing_class=tokenizer)
    assert len(trainer.train_dataset) == 4
    loss = trainer.train().training_loss
    expected = (math.log1p(math.exp(2)) + 3 * math.log(2)) / 4 if with_margin else math.log(2)
    assert loss == pytest.approx(expected, abs=0.1)
    assert (network.score.weight != before).any()


@pytest.mark.parametrize("format_", ["trl-implicit", "openrlhf"])
def test_trl_finds_the_prompt_of_whole_conversations(exported, format_):
    """TRL's own helper makes the explicit form of them, which is what is exported as that."""
    from trl.data_utils import extract_prompt

    explicit = exported(".jsonl").to_list()
    assert [extract_prompt(row) for row in exported(".parquet", format_=format_)] == explicit


def test_trl_knows_single_completions_as_its_unpaired_preferences(exported):
    """Of two the better is good; of three the best is good, the last bad, and the middle is left out."""
    from trl import unpair_preference_dataset
    from trl.data_utils import is_conversational

    loaded = exported(".jsonl", format_="trl-unpaired")
    assert loaded.features == unpair_preference_dataset(exported(".parquet")).features
    assert is_conversational(loaded[0])
    assert [(row["completion"][0]["content"], row["label"]) for row in loaded] == [
        ("No.", True),
        ("Yes.", False),
        ("散乱。", True),
        ("?", False),
    ]


def test_trl_knows_demonstrations_as_conversations(exported, tiny_model):
    from trl.data_utils import apply_chat_template, is_conversational

    (row,) = exported(".jsonl", format_="trl-sft")
    assert is_conversational(row)
    text = apply_chat_template(row, tiny_model[1])["text"]
    assert "Can pigs fly?" in text
    assert "They can't." in text
