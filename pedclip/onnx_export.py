"""Both towers as ONNX files, compared with the model that they were made from before anything is left behind."""

# Shapes: B images or texts, T tokens, S image side, C shared width, E experts
import inspect
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pedclip.auto import PedCLIPForImageClassification, PedCLIPModel
from pedclip.eval.embeddings import model_hash
from pedclip.hub import drop_loading_keys, load_folder

OPSET = 20  # the first with Gelu as one operator
PARITY = 1e-4  # of embeddings of length 1 and of shares that sum to 1
BATCHES = (1, 2, 5)
LENGTHS = (3, 17, 64)
FILE = "onnx.json"
Exportable = PedCLIPModel | PedCLIPForImageClassification


class ImageTower(nn.Module):
    """pixel_values (B, 3, S, S) -> image_embeds (B, C) of length 1, and router_probs (B, E) of the last MoBE layer."""

    def __init__(self, model: PedCLIPModel):
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        out = self.model.get_image_features(pixel_values=pixel_values)
        embeds = nn.functional.normalize(out.pooler_output, dim=-1)
        return (embeds, out.router_logits[-1].softmax(-1)) if out.router_logits else (embeds,)


class TextTower(nn.Module):
    """input_ids, attention_mask (B, T) -> text_embeds (B, C) of length 1."""

    def __init__(self, model: PedCLIPModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor]:
        out = self.model.get_text_features(input_ids=input_ids, attention_mask=attention_mask)
        return (nn.functional.normalize(out.pooler_output, dim=-1),)


class Classifier(nn.Module):
    """pixel_values (B, 3, S, S) -> logits (B, labels)."""

    def __init__(self, model: PedCLIPForImageClassification):
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.model(pixel_values=pixel_values).logits,)


def export_towers(model: Exportable) -> dict[str, torch.export.ExportedProgram]:
    """`torch.export` of both towers, {"image": ..., "text": ...}, for any batch and any length of text.

    A classifier gives {"image": ...} alone.
    """
    with torch.no_grad():  # for inference: training goes through other code of the experts
        return {
            name: torch.export.export(tower, arguments, dynamic_shapes=shapes)
            for name, (tower, arguments, shapes) in _towers(model).items()
        }


def write_onnx(folder: Path | str, out: Path | str) -> dict[str, Any]:
    """OUT with image.onnx, text.onnx, the processor, config.json and onnx.json; whole or not at all.

    A classifier gives image.onnx alone, with its logits. Returns what onnx.json says: names of inputs and outputs, the
    temperature, the hash of the model's files, how far ONNX Runtime's answers are from the model's. Raises ValueError
    where that is more than 1e-4, FileExistsError for an OUT that is there, and ImportError without the extra `onnx`.
    """
    _require_packages()
    out = Path(out)
    if out.exists():
        raise FileExistsError(f"{out} is there already; name another folder, or remove it")
    model, processor = load_folder(folder)
    if not isinstance(model, Exportable):
        raise ValueError(
            f"{folder} holds a {type(model).__name__}; a whole PedCLIPModel, with both towers, or a "
            "PedCLIPForImageClassification is what is exported"
        )
    if model.config.vision_config.skip_experts_below > 0:
        raise ValueError(
            f"skip_experts_below is {model.config.vision_config.skip_experts_below}; the graph computes every expert. "
            "Set it to 0 in config.json, which is exact"
        )
    model = model.eval().float()
    out.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        processor.save_pretrained(new)
        drop_loading_keys(new / "tokenizer_config.json")
        shutil.copyfile(Path(folder) / "config.json", new / "config.json")
        described: dict[str, Any] = {
            "format": 1,
            "opset": OPSET,
            "model_hash": model_hash(folder),  # as `pedclip embed` writes it beside embeddings
            **_meaning(model),
            "files": {},
        }
        for name, (tower, arguments, shapes) in _towers(model).items():
            file = new / f"{name}.onnx"
            _trace(tower, arguments, shapes, file)
            session = session_of(file)
            worst = max(_difference(session, tower, inputs) for inputs in _trials(model, name))
            if not worst <= PARITY:
                raise ValueError(
                    f"{name}.onnx differs from the model by {worst:.1e}; at most {PARITY:.0e} is allowed. Nothing was "
                    "written; please report it with the versions of torch, onnx and onnxruntime"
                )
            described["files"][file.name] = {
                "inputs": [one.name for one in session.get_inputs()],
                "outputs": [one.name for one in session.get_outputs()],
                "largest_difference": float(f"{worst:.1e}"),
            }
        described["versions"] = {name: version(name) for name in ("torch", "transformers", "onnx", "onnxruntime")}
        (new / FILE).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        new.chmod(0o755)
        new.rename(out)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return described


def _meaning(model: Exportable) -> dict[str, Any]:
    """What a reader of the outputs has to know."""
    if isinstance(model, PedCLIPForImageClassification):
        return {"labels": [model.config.id2label[number] for number in range(model.num_labels)]}  # order of logits
    return {
        "logit_scale": float(model.logit_scale.detach().clamp(max=model.config.logit_scale_max).exp()),
        "body_parts": list(model.config.body_parts),  # the order of router_probs
    }


def session_of(file: Path, threads: int = 0, spinning: bool = True) -> Any:
    """ONNX Runtime on the CPU; `threads` 0 leaves their number to it, `spinning` lets them wait busily for more."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _trace(tower: nn.Module, arguments: tuple[torch.Tensor, ...], shapes: Any, file: Path) -> None:
    """One graph of the tower, weights inside up to 1.5 GiB, in FILE.data beside it from there on.

    ONNX allows 2 GiB a file; torch stops earlier.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings(), torch.no_grad():  # as they are called: the experts' inference path is traced
        warnings.simplefilter("ignore")  # of the exporter's own parts, and of torchvision, which is not needed
        logger.setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                tower, arguments, dynamic_shapes=shapes, dynamo=True, opset_version=OPSET, verbose=False,
                input_names=list(inspect.signature(tower.forward).parameters), output_names=_outputs(tower),
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            raise ValueError(
                f"{file.name} cannot be written: torch does not trace this tower ({type(error.__cause__).__name__}); "
                "BERT's and RoBERTa's kinds of text tower are known to work. Nothing was written"
            ) from error
        finally:
            logger.setLevel(level)
    assert program is not None  # it is for dynamo=True
    program.save(file)


def _outputs(tower: nn.Module) -> list[str]:
    if isinstance(tower, Classifier):
        return ["logits"]
    if isinstance(tower, TextTower):
        return ["text_embeds"]
    assert isinstance(tower, ImageTower)
    return ["image_embeds", "router_probs"] if tower.model.config.vision_config.mobe_layers else ["image_embeds"]


def _require_packages() -> None:
    lacking = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if lacking:
        raise ImportError(f"{', '.join(lacking)} is needed for ONNX and is not installed: pip install 'pedclip[onnx]'")


def _towers(model: Exportable) -> dict[str, tuple[nn.Module, tuple[torch.Tensor, ...], Any]]:
    """Each tower with inputs to trace it by, and which of their axes may have any size."""
    batch, pixels = torch.export.Dim("batch"), _pixels(model, 2)
    if isinstance(model, PedCLIPForImageClassification):
        return {"image": (Classifier(model).eval(), (pixels,), ({0: batch},))}
    length, texts = torch.export.Dim("tokens", max=_longest(model)), _texts(model, 2, 7)
    return {
        "image": (ImageTower(model).eval(), (pixels,), ({0: batch},)),
        "text": (TextTower(model).eval(), texts, ({0: batch, 1: length}, {0: batch, 1: length})),
    }


def _trials(model: Exportable, name: str) -> list[tuple[torch.Tensor, ...]]:
    """Inputs of several sizes, none of them the traced one."""
    if name == "image":
        return [(_pixels(model, batch),) for batch in BATCHES]
    longest = _longest(model)
    lengths = sorted({min(length, longest) for length in LENGTHS} | {longest})
    return [_texts(model, batch, length) for batch, length in zip((*BATCHES, 3), lengths, strict=False)]


def _pixels(model: Exportable, batch: int) -> torch.Tensor:
    config = model.config.vision_config
    size = (batch, config.num_channels, config.image_size, config.image_size)
    return torch.randn(*size, generator=torch.Generator().manual_seed(batch))


def _texts(model: PedCLIPModel, batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids with padding, which RoBERTa's positions are counted by."""
    generator = torch.Generator().manual_seed(batch * 1000 + length)
    lengths = torch.randint(1, length + 1, (batch,), generator=generator)
    lengths[0] = length
    mask = (torch.arange(length)[None] < lengths[:, None]).long()
    ids = torch.randint(5, model.config.text_config.vocab_size, (batch, length), generator=generator)
    return torch.where(mask == 1, ids, model.config.text_config.pad_token_id or 0), mask


def _longest(model: PedCLIPModel) -> int:
    """Tokens that the text tower has positions for; RoBERTa's kind begins after the padding's."""
    for name, module in model.text_model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return getattr(model.config.text_config, "max_position_embeddings", 512)  # rotary: its own promise


@torch.no_grad()
def _difference(session: Any, tower: nn.Module, inputs: Sequence[torch.Tensor]) -> float:
    names = [one.name for one in session.get_inputs()]
    given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    expected = tower(*inputs)
    found = session.run(None, given)
    return max(
        float(np.abs(one - own.numpy()).max()) if np.isfinite(one).all() else float("inf")
        for one, own in zip(found, expected, strict=True)
    )
