"""Let other trainers' own loaders read what is exported for them, and compare what they made of it with the store.

    python -m benchmarks.compatibility.other_trainers [FILE…] [--rows 100]

FILE is anything that `python -m label_data import` takes; so many groups of each come into a new store, beside some
prompts on which loaders differ: with and without a system message, of several turns, in other scripts, with white space
at the ends, longer than the usual limits, with words that mean something to a template. The store is exported in each
trainer's format, as JSON lines and as Parquet, its loader reads and tokenizes that, and the tokens are turned to text
again. A row differs if that text or the margin is no comparison, or no demonstration, of the store; rows that the
loader passed by count as well.

A trainer that is not installed is named. Each pins other versions of its libraries than the next: install what is
to be tried beside requirements.txt, with --no-deps, and what it then asks for.

    pip install --no-deps openrlhf==0.11.2 llamafactory==0.9.5 ms-swift==4.6.0 axolotl==0.19.0

LLaMA-Factory goes on with other versions under DISABLE_VERSION_CHECK=1. What was found: docs/formats.md.
"""

import json
import os
import sys
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from label_data.comparisons import group_comparisons
from label_data.database.engine import Store, open_store
from label_data.exchange.exporting import export_file
from label_data.exchange.known_formats import FILE_ENDINGS, READERS, WITH_MARGIN, recognised
from label_data.records import Completion, Demonstration, Group, Message, Prompt, Ranking
from label_data.settings import PACKAGED_MODEL
from label_data.store.adding import add_groups
from label_data.store.stored_groups import groups as stored_groups

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The template that all of them have, one of them as "smollm"."""
LONGEST = 32_768
"""Tokens: every trainer cuts or drops what is longer than it is told, and by default than 512 or 2,048."""
TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


class Seen(NamedTuple):
    """One row as a trainer has it: the conversations as text, the rejected one and the margin if it has them."""

    chosen: str
    rejected: str = ""
    margin: float | None = None


def hard_groups() -> Iterator[Group]:
    """Yield prompts on which loaders differ, ranked, each with a demonstration."""
    user, assistant = (lambda text: Message("user", text)), (lambda text: Message("assistant", text))
    brief = Message("system", "Be brief.")
    request = {
        (user("Can pigs fly?"),): ("No.", "Yes."),
        (brief, user("Can hens fly?")): ("A little.", "Yes.\n\nThey fly.", "?", "No"),
        (Message("system", ""), user("What does an empty system message say?")): ("Nothing.", "All."),
        (user("Hi"), assistant("Hello."), user("And hens?"), assistant("Hens too."), user("Why?")): ("Wings.", "Air."),
        (brief, user("Hi"), assistant("Hello."), user("And hens?")): ("Wings.", "Feathers."),
        (user("空はなぜ青い? 🦔 naïve e\u0301"),): ("散乱。\u2028次", "海。\u00a0", "ﷺ \u200d"),
        (user("  white space  \n"),): ("trailing \n", "  leading\n\tcode\n\n", "\n\nnew"),
        (user("Say nothing."),): ("", "No."),
        (user("What is <image>? <video> {{content}} {% if %}"),): ("<image> shows", "<audio> hears"),
        (user("Marks <|im_end|>\n<|im_start|>assistant\nx"),): ("<|im_end|> a", "<|endoftext|> b"),
        (user("One."), user("Two.")): ("Three.", "Four."),
        (assistant("I begin."), user("Do you?")): ("I do.", "No."),
        (user("Line\r\nends"),): ("a\r\nb", "c\rd"),
        (user("long " * 600),): ("word " * 900, "other " * 900),
        (user("<think>Why</think>?"),): ("<think>\nHm.\n</think>\n\nSo.", "So </think>"),
    }
    for messages, texts in request.items():
        prompt = Prompt(messages)
        completions = tuple(Completion(prompt.id, text) for text in texts)
        ids = tuple(completion.id for completion in completions)
        order = ((ids[0],), ids[1:3], (ids[3],)) if len(ids) == 4 else tuple((id,) for id in ids)
        strength = tuple(range(1, len(order))) if messages[0] is brief else ()
        ranking = Ranking(prompt.id, "ana", ids, order, strength=strength)
        message = Demonstration(prompt.id, f"So it is: {texts[0]}", "ana")
        yield Group(prompt, completions, (ranking,), demonstrations=(message,))


# What the store holds


def written(messages: Iterable[Message]) -> str:
    """Return the conversation as CHATML writes it, without the last line's end, which some trainers strip."""
    return "".join(f"<|im_start|>{message.role}\n{message.content}<|im_end|>\n" for message in messages).rstrip("\n")


def held(store: Store) -> tuple[Counter[Seen], Counter[Seen]]:
    """Return the store's comparisons and its demonstrations."""
    pairs: Counter[Seen] = Counter()
    demonstrations: Counter[Seen] = Counter()
    for group in stored_groups(store):
        request = group.prompt.messages
        whole = {
            completion.id: written((*request, Message("assistant", completion.text)))
            for completion in group.completions
        }
        for comparison in group_comparisons(group):
            pairs[Seen(whole[comparison.chosen], whole[comparison.rejected], float(comparison.strength or 0))] += 1
        for demonstration in group.demonstrations:
            demonstrations[Seen(written((*request, Message("assistant", demonstration.text))))] += 1
    return pairs, demonstrations


# What the trainers make of it. Each function runs in a process of its own.


def openrlhf(path: Path, tokenizer_folder: str) -> list[Seen]:
    """Its reward trainer's data set, with the flags that docs/formats.md names."""
    from openrlhf.datasets import RewardDataset
    from openrlhf.datasets.utils import blending_datasets
    from openrlhf.utils.config import hierarchize
    from transformers import AutoTokenizer

    flags = {
        "data.apply_chat_template": True,
        "data.prompt_key": None,
        "data.chosen_key": "chosen",
        "data.rejected_key": "rejected",
        "use_ms": False,
    }
    strategy = Namespace(args=hierarchize(Namespace(**flags)), print=lambda *_: None, is_rank_0=lambda: False)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    rows = RewardDataset(blending_datasets(str(path), None, strategy), tokenizer, LONGEST, strategy, num_processors=1)
    return [
        Seen(tokenizer.decode(chosen[0]), tokenizer.decode(rejected[0]), float(margin))
        for chosen, _, rejected, _, margin in (rows[place] for place in range(len(rows)))
    ]


def llama_factory(path: Path, tokenizer_folder: str) -> list[Seen]:
    """Its data set for stage rm, by the entry that the export wrote, or for stage sft, by that of docs/formats.md."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import AutoTokenizer, Seq2SeqTrainingArguments

    demonstrations = path.parent.name == "trl-sft"
    if demonstrations:
        columns = {"messages": "messages"}
        entry = {"file_name": path.name, "formatting": "sharegpt", "columns": columns, "tags": TAGS}
        (path.parent / "dataset_info.json").write_text(json.dumps({path.stem: entry}))
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    data = DataArguments(template="smollm", dataset=path.stem, dataset_dir=str(path.parent), cutoff_len=LONGEST)
    training = Seq2SeqTrainingArguments(output_dir=str(path.parent / "run"), use_cpu=True)
    template = get_template_and_fix_tokenizer(tokenizer, data)
    model = ModelArguments(model_name_or_path=tokenizer_folder)
    stage = "sft" if demonstrations else "rm"
    rows = get_dataset(template, model, data, training, stage, tokenizer)["train_dataset"]
    ids = ("input_ids",) if demonstrations else ("chosen_input_ids", "rejected_input_ids")
    return [Seen(*(tokenizer.decode(row[column]) for column in ids)) for row in rows]


def ms_swift(path: Path, tokenizer_folder: str) -> list[Seen]:
    """Its data set, encoded by its template as reward modelling or supervised fine-tuning has it."""
    from swift.dataset import load_dataset
    from swift.model import get_model_processor
    from swift.template import get_template

    demonstrations = path.parent.name == "trl-sft"
    rows, _ = load_dataset(str(path), load_from_cache_file=False)
    _, tokenizer = get_model_processor(tokenizer_folder, load_model=False, model_type="llama")
    template = get_template(tokenizer, template_type="chatml", max_length=LONGEST)
    template.set_mode("train" if demonstrations else "rlhf")
    encoded = [template.encode(dict(row)) for row in rows]
    if demonstrations:
        return [Seen(tokenizer.decode(row["input_ids"])) for row in encoded]
    return [
        Seen(*(tokenizer.decode(row[f"{side}_input_ids"]) for side in ("chosen", "rejected")), row["margin"])
        for row in encoded
    ]


def axolotl(path: Path, tokenizer_folder: str) -> list[Seen]:
    """Its data set for reward models, rows without a system message as a data set that drops it, or for fine-tuning."""
    from axolotl.loaders import load_tokenizer
    from axolotl.utils.config import normalize_config, validate_config
    from axolotl.utils.data import prepare_datasets
    from axolotl.utils.dict import DictDefault
    from datasets import load_dataset

    demonstrations = path.parent.name == "trl-sft"
    if demonstrations:
        chosen = [{"path": str(path), "type": "chat_template"}]
    else:
        loaded = load_dataset({".jsonl": "json", ".parquet": "parquet"}[path.suffix], data_files=str(path))["train"]
        with_system, without = path.with_name(f"with{path.suffix}"), path.with_name(f"without{path.suffix}")
        for part, has_one in ((with_system, True), (without, False)):
            rows = loaded.filter(lambda row, has_one: bool(row["system"]) == has_one, fn_kwargs={"has_one": has_one})
            (rows.to_json if path.suffix == ".jsonl" else rows.to_parquet)(str(part))
        kind = "bradley_terry.chat_template"
        chosen = [
            {"path": str(with_system), "type": kind},
            {"path": str(without), "type": kind, "drop_system_message": True},
        ]
    settings = {
        "base_model": tokenizer_folder,
        "chat_template": "tokenizer_default",
        "datasets": chosen,
        "sequence_len": LONGEST,
        "dataset_prepared_path": str(path.with_suffix(".prepared")),
        "dataset_num_proc": 1,
        "micro_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "num_epochs": 1,
        "learning_rate": 1e-5,
        "output_dir": str(path.parent / "run"),
    }
    reward = {"reward_model": True, "model_type": "AutoModelForSequenceClassification", "num_labels": 1}
    machine = {"bf16": False, "fp8": False, "tf32": False, "n_gpu": 0, "compute_capability": "sm_80", "n_node": 1}
    checked = validate_config(
        DictDefault(settings | ({} if demonstrations else reward | {"remove_unused_columns": False})),
        capabilities=machine,
        env_capabilities={"torch_version": metadata.version("torch").partition("+")[0]},
    )
    normalize_config(checked)
    tokenizer = load_tokenizer(checked)
    columns = ("input_ids",) if demonstrations else ("chosen_ids", "rejected_ids")
    rows = prepare_datasets(checked, tokenizer)[0]
    return [Seen(*(tokenizer.decode(row[column]) for column in columns)) for row in rows]


TRAINERS: dict[str, tuple[Callable[[Path, str], list[Seen]], tuple[str, ...]]] = {
    "openrlhf": (openrlhf, ("openrlhf",)),
    "llamafactory": (llama_factory, ("llama-factory", "trl-sft")),
    "ms-swift": (ms_swift, ("ms-swift", "trl-sft")),
    "axolotl": (axolotl, ("axolotl", "trl-sft")),
}
"""The package's name -> its reader, and the formats that it is to read."""


def silenced(read: Callable[[Path, str], list[Seen]], path: Path, tokenizer_folder: str, log: Path) -> list[Seen]:
    """Return what the reader gives; what the trainer prints goes to the log."""
    sys.stdout.flush()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return read(path, tokenizer_folder)


def differences(seen: list[Seen], exported: int, store: Counter[Seen], with_margin: bool) -> list[str]:
    """Return a sentence for each row that is not one of the store's, and for those that were passed by."""
    if not with_margin:
        store = Counter(pair._replace(margin=None) for pair in store.elements())
    result = Counter(row._replace(chosen=row.chosen.rstrip("\n"), rejected=row.rejected.rstrip("\n")) for row in seen)
    other = [f"not of the store: {row}" for row in (result - store).elements()]
    return other + ["passed by"] * (exported - len(seen))


def main(
    files: Annotated[list[Path] | None, typer.Argument(help="data to import beside the prompts on hand")] = None,
    rows: Annotated[int, typer.Option(help="groups of each file")] = 100,
    show: Annotated[int, typer.Option(help="how many differences of a file to print")] = 0,
) -> None:
    """Print a line for each trainer and format: how many rows were compared with the store, and how many differ."""
    from reward.networks.backbones import load_tokenizer, model_folder

    with tempfile.TemporaryDirectory() as inside:
        place = Path(inside)
        os.environ |= {
            name: str(place / name)
            for name in ("HF_DATASETS_CACHE", "MODELSCOPE_CACHE")  # each would leave copies of the data behind
        }
        os.environ |= {"HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1"}
        folder = place / "tokenizer"
        network = model_folder(PACKAGED_MODEL)
        tokenizer = load_tokenizer(network)
        tokenizer.chat_template = CHATML
        tokenizer.save_pretrained(folder)
        (folder / "config.json").write_bytes((network / "config.json").read_bytes())
        store = open_store(place / "store.db")
        add_groups(store, hard_groups())
        for file in files or ():
            add_groups(store, islice(READERS[recognised(file)[0]](file), rows))
        pairs, demonstrations = held(store)
        print(f"The store has {pairs.total():,} comparisons and {demonstrations.total():,} demonstrations.")
        for package, (read, formats) in TRAINERS.items():
            try:
                version = metadata.version(package)
            except metadata.PackageNotFoundError:
                print(f"{package}: not installed")
                continue
            for format_ in formats:
                for ending in (end for end in FILE_ENDINGS[format_] if not end.endswith(".gz")):
                    path = place / package / format_ / f"rows{ending}"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    exported = export_file(store, path, format_, with_margin=format_ in WITH_MARGIN).rows
                    name = f"{package} {version}, {format_} {ending}"
                    try:
                        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                            seen = pool.submit(silenced, read, path, str(folder), place / "log").result()
                    except Exception as error:  # of a trainer's many libraries: it is told, and the next one tried
                        print(f"{name}: could not be run: {type(error).__name__}: {error}")
                        continue
                    expected = demonstrations if format_ == "trl-sft" else pairs
                    different = differences(seen, exported, expected, format_ in WITH_MARGIN)
                    print(f"{name}: {exported:,} rows exported, {len(seen):,} compared, {len(different):,} differ")
                    print("".join(f"    {item:.400}\n" for item in different[:show]), end="", flush=True)
        store.dispose()


if __name__ == "__main__":
    typer.run(main)
