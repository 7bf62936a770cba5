"""Saves model folders with the installed PedCLIP, or opens such folders where PedCLIP cannot be imported.

    python -I folders.py save FOLDERS ANSWERS     # writes FOLDERS/model, classifier, tower and adapter
    python -I folders.py open FOLDERS ANSWERS

Both write into the file ANSWERS what the models make of the same images and texts, as tensors named FOLDER/KIND/NAME:
`save` from the objects that it saves, `open` from what it opens. run.py runs `save` at one corner of the matrix and
`open` at each.
"""

import sys
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

PACKAGE = Path(__file__).resolve().parents[2] / "pedclip"
# the image tower's attention, the text tower's; the experts are stacked parameters, which modules do not reach
ADAPTER = {
    "target_modules": ["q_proj", "v_proj", "query", "value"],
    "target_parameters": ["experts.up_proj", "experts.down_proj"],
    "modules_to_save": ["gate"],
}


def module_at(path: Path) -> ModuleType:
    """A module by its file, where its package cannot be imported."""
    spec = util.spec_from_file_location(path.stem, path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def images() -> dict[str, Any]:
    """Those of fingerprint.py, in every form that is read, and two of a film's size, with 8 and with 16 bits."""
    rows, columns = np.arange(1777)[:, None], np.arange(1403)[None]
    film = (rows * rows * 13 + columns * columns * 7 + rows * columns) // 11
    return {
        **module_at(PACKAGE / "fingerprint.py").images(),
        "film, 8 bits": (film % 256).astype(np.uint8),
        "film, 16 bits": (film % 65536).astype(np.uint16),
    }


def answers(name: str, model: torch.nn.Module, processor: Any) -> dict[str, torch.Tensor]:
    """Weights, pixels, tokens and outputs of one folder, in the model's own float32."""
    texts = list(module_at(PACKAGE / "fingerprint.py").TEXTS.values())
    # to a tower's image processor a text is an unknown argument
    image_processor = getattr(processor, "image_processor", processor)
    pixels = {key: image_processor(image, return_tensors="pt").pixel_values for key, image in images().items()}
    inputs = {"pixel_values": torch.cat(list(pixels.values()))}
    found = {f"weights/{key}": tensor for key, tensor in model.state_dict().items()}
    found |= {f"pixels/{key}": tensor for key, tensor in pixels.items()}
    if image_processor is not processor:
        tokens = dict(processor(text=texts, return_tensors="pt"))
        found |= {f"tokens/{key}": tensor for key, tensor in tokens.items()}
        if any(key.endswith("logit_scale") for key in model.state_dict()):  # a classifier takes no text
            inputs |= tokens
    with torch.no_grad():
        output = model.eval()(**inputs)
    outputs = ("logits_per_image", "logits", "pooler_output", "image_embeds", "text_embeds")
    found |= {f"outputs/{key}": output[key] for key in outputs if key in output}
    found |= {f"outputs/gate of layer {i}": gate for i, gate in enumerate(output.get("router_logits") or ())}
    # a copy: safetensors refuses tensors that share their memory
    return {f"{name}/{key}": tensor.detach().clone().contiguous() for key, tensor in found.items()}


def save(folders: Path) -> dict[str, torch.Tensor]:
    import peft
    from transformers import AutoTokenizer

    from pedclip import (
        PedCLIPConfig,
        PedCLIPForImageClassification,
        PedCLIPImageProcessor,
        PedCLIPModel,
        PedCLIPProcessor,
    )
    from pedclip.hub import write_hub_folder

    tokenizer = AutoTokenizer.from_pretrained(PACKAGE.parent / "processing" / "phantom" / "tokenizer")
    small = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    vision = {**small, "image_size": 64, "patch_size": 8, "mobe_layers": [1], "stem_channels": [8, 16]}
    text = {**small, "model_type": "bert", "vocab_size": len(tokenizer)}
    config = PedCLIPConfig(vision_config=vision, text_config=text, num_labels=3)
    torch.manual_seed(0)
    model, classifier = drawn(PedCLIPModel(config)), drawn(PedCLIPForImageClassification(config))
    size = {"height": 64, "width": 64}
    processor = PedCLIPProcessor(PedCLIPImageProcessor(size=size), tokenizer)
    padding = PedCLIPImageProcessor(size=size, keep_aspect_ratio=True)

    found = answers("model", model, processor) | answers("classifier", classifier, processor)
    found |= answers("tower", model.vision_model, padding)
    write_hub_folder(model, processor, folders / "model")
    write_hub_folder(classifier, processor, folders / "classifier")
    write_hub_folder(model.vision_model, padding, folders / "tower")

    lora = peft.LoraConfig(r=2, lora_alpha=4, task_type="FEATURE_EXTRACTION", **ADAPTER)
    adapter = peft.get_peft_model(PedCLIPModel.from_pretrained(folders / "model"), lora)
    drawn(adapter, only="lora_")  # PEFT starts an adapter at zero, where it changes nothing
    adapter.save_pretrained(folders / "adapter")
    return found | answers("adapter", adapter, processor)


def drawn(model: torch.nn.Module, only: str = "") -> torch.nn.Module:
    """Every parameter moved at random: at their initial values a forgotten bias or gate would hardly show."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if only in name and not name.endswith("logit_scale"):
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def open_as_a_stranger(folders: Path) -> dict[str, torch.Tensor]:
    stranger = module_at(PACKAGE / "fresh_process.py")
    sys.meta_path.insert(0, stranger.NoPedCLIP())
    sys.addaudithook(stranger.refuse_network)
    import peft
    from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification, AutoProcessor

    def opened(auto: type, name: str) -> Any:
        return auto.from_pretrained(folders / name, trust_remote_code=True)

    model, processor = opened(AutoModel, "model"), opened(AutoProcessor, "model")
    found = answers("model", model, processor)
    classifier = opened(AutoModelForImageClassification, "classifier")
    found |= answers("classifier", classifier, opened(AutoProcessor, "classifier"))
    found |= answers("tower", opened(AutoModel, "tower"), opened(AutoImageProcessor, "tower"))
    adapter = peft.PeftModel.from_pretrained(model, folders / "adapter")
    return found | answers("adapter", adapter, processor)


def main(action: str, folders: str, file: str) -> None:
    answer = {"save": save, "open": open_as_a_stranger}[action]
    save_file(answer(Path(folders)), file)


if __name__ == "__main__":
    main(*sys.argv[1:])
