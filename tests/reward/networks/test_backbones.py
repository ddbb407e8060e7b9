import shutil

import huggingface_hub.constants
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from label_data.errors import InputError
from label_data.settings import PACKAGED_MODEL
from reward.networks.backbones import load_model, load_tokenizer, model_folder, model_revision


def test_the_packaged_model_is_converted_once(packaged_model_folder):
    assert model_folder(PACKAGED_MODEL) == packaged_model_folder
    assert (packaged_model_folder / "model.safetensors").is_file()
    assert [path.name for path in packaged_model_folder.parent.iterdir()] == [packaged_model_folder.name]


def test_the_packaged_model_answers_and_shares_its_input_and_output_embeddings(packaged_model_folder):
    """49,152 embeddings of width 576 are stored once: 134,515,008 parameters, not 162,826,560."""
    tokenizer = load_tokenizer(packaged_model_folder)
    model = load_model(AutoModelForCausalLM, packaged_model_folder, "cpu")
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    generated = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    assert "Paris" in tokenizer.decode(generated[0, inputs["input_ids"].shape[1] :])
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008


def test_the_pad_token_of_the_packaged_model_differs_from_its_end_token(packaged_model_folder):
    tokenizer = load_tokenizer(packaged_model_folder)
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|endoftext|>", "<|im_end|>")


def test_the_name_of_a_local_folder_is_that_folder(tiny_backbone_folder):
    assert model_folder(str(tiny_backbone_folder)) == tiny_backbone_folder


def test_a_pad_token_equal_to_the_end_token_is_replaced_on_loading(tiny_backbone_folder):
    assert AutoTokenizer.from_pretrained(tiny_backbone_folder).pad_token == "<|end|>"
    assert load_tokenizer(tiny_backbone_folder).pad_token == "<|none|>"


@pytest.mark.parametrize("name", ["packaged:nothing", "no such model", "nobody/nothing"])
def test_an_unknown_model_is_an_input_error_that_names_an_available_model(name, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=PACKAGED_MODEL):
        model_folder(name)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        load_tokenizer(tmp_path)


def test_pickled_weights_are_not_read(tiny_backbone_folder, tmp_path):
    folder = shutil.copytree(tiny_backbone_folder, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="can't be loaded"):
        load_model(AutoModelForCausalLM, folder, "cpu")


def test_a_tokenizer_without_chat_template_is_refused(tiny_backbone_folder, tmp_path):
    folder = shutil.copytree(tiny_backbone_folder, tmp_path / "bare")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        load_tokenizer(folder)


def test_trap_6_a_chat_template_with_todays_date_gives_the_same_text_on_every_day(tiny_backbone_folder, tmp_path):
    folder = shutil.copytree(tiny_backbone_folder, tmp_path / "dated")
    (folder / "chat_template.jinja").write_text("Today is {{ strftime_now('%d %b %Y') }}. {{ messages[0].content }}")
    turns = [{"role": "user", "content": "Hi"}]
    stock = AutoTokenizer.from_pretrained(folder).apply_chat_template(turns, tokenize=False)
    assert "26 Jul 2024" not in stock
    assert load_tokenizer(folder).apply_chat_template(turns, tokenize=False) == "Today is 26 Jul 2024. Hi"


def test_the_revision_changes_with_any_file_that_affects_the_output(tiny_backbone_folder, tmp_path):
    folder = shutil.copytree(tiny_backbone_folder, tmp_path / "copy")
    before = model_revision(folder)
    assert before == model_revision(tiny_backbone_folder)
    revisions = {before}
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
        with (folder / name).open("ab") as file:
            file.write(b" ")
        revisions.add(model_revision(folder))
    assert len(revisions) == 5
