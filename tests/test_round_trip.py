"""The whole way of a model through the Hub's tools: export, tune with LoRA, merge, save, push, load by its id.

The server is the tests' own, answered by huggingface_hub's real client; it is not the real Hub.
"""

import os
import subprocess
import sys

import torch
from local_hub import LocalHub
from transformers import AutoTokenizer

from pedclip import PedCLIPImageProcessor, PedCLIPProcessor
from pedclip.card import CardFacts, checkout_file
from pedclip.examples import lora
from pedclip.hub import export_folder
from pedclip.samples import sample_files

NAME = "somebody/pedclip-tuned"
TEXTS = ["wrist, fracture", "wrist, no finding", "knee"]
OPEN = """
import sys
import torch
from transformers import AutoModel, AutoProcessor
name, revision, film, out, *texts = sys.argv[1:]
model = AutoModel.from_pretrained(name, revision=revision, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(name, revision=revision, trust_remote_code=True)
with torch.no_grad():
    logits = model(**processor(images=film, text=texts, return_tensors="pt")).logits_per_image
torch.save(logits, out)
"""


def test_exported_tuned_merged_pushed_and_loaded_by_its_id_the_logits_are_the_same(make_model, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(checkout_file("processing/phantom/tokenizer/tokenizer.json").parent)
    model = make_model(text={"vocab_size": len(tokenizer)})
    model.save_pretrained(tmp_path / "bare")
    PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(
        tmp_path / "bare"
    )
    base = export_folder(tmp_path / "bare", tmp_path / "base", training_data="None.", datasets=("phantom",))

    loaded, processor = lora.load(str(base))
    lora.make_films(tmp_path / "films", "wrist", side=32, patients=40)
    data = lora.dataclasses.replace(lora.demo_data(), path=str(tmp_path / "films" / "wrist"))
    adapter = lora.with_lora(loaded, rank=2)
    lora.tune(adapter, processor, lora.read_folder(data, split="train")[:32], data, epochs=1, batch_size=16)
    facts = CardFacts(training_data="Phantom wrists.", datasets=("phantom",))
    merged = lora.merge_and_save(adapter, processor, tmp_path / "tuned", facts)

    film = sample_files()[0]
    with torch.no_grad():
        inputs = processor(images=str(film), text=TEXTS, return_tensors="pt")
        expected = merged(**inputs).logits_per_image
        assert (expected - model(**inputs).logits_per_image).abs().max() > 1e-3  # the tuning did something
    with LocalHub() as hub:
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": "hf_of_the_test",
        }
        command = [sys.executable, "-m", "pedclip.cli", "push", str(tmp_path / "tuned"), NAME]
        pushed = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert pushed.returncode == 0, pushed.stderr[-3000:]
        (tag,) = [name for name in hub.repositories[NAME].references if name != "main"]
        assert f'AutoModel.from_pretrained("{NAME}", revision="{tag}", trust_remote_code=True)' in pushed.stdout
        opened = subprocess.run(
            [sys.executable, "-I", "-c", OPEN, NAME, tag, str(film), str(tmp_path / "logits.pt"), *TEXTS],
            env=environment,
            capture_output=True,
            text=True,
        )
    assert opened.returncode == 0, opened.stderr[-3000:]
    found = torch.load(tmp_path / "logits.pt", weights_only=True)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
