"""Opens a model folder as a stranger would: PedCLIP not importable, no network, nothing but the folder.

Run by pedclip/check.py as a script in an interpreter of its own (`python -I`), with an empty cache: what the folder
lacks must fail here. Writes the list of checks, as JSON, to the file named second. Third comes the path of
fingerprint.py, which needs no PedCLIP either.
"""

import io
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import util
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

LABELS, TEMPLATE = ["wrist", "chest"], "{} x-ray"
TEXTS = [TEMPLATE.format(label) for label in LABELS]
LAST_BITS = 1e-5  # the same weights at another place in memory may be summed in another order


class NoPedCLIP(MetaPathFinder):
    """Comes before every other finder, the one of an editable install too."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] == "pedclip":
            raise ModuleNotFoundError(f"the folder's code asks for the installed package: import {fullname}")
        return None


def refuse_network(event: str, _arguments: tuple) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise ConnectionError("loading the folder asked for the network")


class Checks(list[dict[str, Any]]):
    def run(self, name: str, step: Callable[[], Any], detail: Callable[[Any], str] = lambda result: "") -> Any:
        """One row: what `step` gave, or why it failed. A later step that needs the result then fails too."""
        try:
            result = step()
            self.append({"name": name, "ok": True, "detail": detail(result)})
            return result
        except Exception as error:  # whatever a stranger's process would die of belongs into the table
            self.append({"name": name, "ok": False, "detail": " ".join(f"{type(error).__name__}: {error}".split())})
            return None


def main(folder: str, report: str, fingerprint_file: str) -> None:
    sys.meta_path.insert(0, NoPedCLIP())
    sys.addaudithook(refuse_network)
    checks = Checks()
    try:
        open_as_a_stranger(folder, checks, module_at(fingerprint_file))
    finally:
        Path(report).write_text(json.dumps(checks), encoding="utf-8")


def module_at(path: str) -> ModuleType:
    spec = util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def open_as_a_stranger(folder: str, checks: Checks, fingerprints: ModuleType) -> None:
    import numpy as np
    import torch
    import transformers
    from PIL import Image

    trust = {"trust_remote_code": True}
    config = checks.run("AutoConfig", lambda: transformers.AutoConfig.from_pretrained(folder, **trust))
    if config is None:
        return
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (96, 72), dtype=np.uint8))
    deep = random.integers(0, 4096, (96, 72), dtype=np.uint16)  # which transformers' own pipeline does not open

    image_processor = checks.run(
        "AutoImageProcessor", lambda: transformers.AutoImageProcessor.from_pretrained(folder, **trust)
    )
    inputs: dict[str, Any] = {}
    processor: Any = None
    if "text_config" in config.to_dict():
        checks.run("AutoTokenizer", lambda: transformers.AutoTokenizer.from_pretrained(folder, **trust))
        processor = checks.run("AutoProcessor", lambda: transformers.AutoProcessor.from_pretrained(folder, **trust))
    if processor is not None:
        inputs = dict(processor(images=image, text=TEXTS, padding=True, return_tensors="pt"))
    elif image_processor is not None:
        inputs = dict(image_processor(images=image, return_tensors="pt"))

    def output_of(model: Any) -> torch.Tensor:
        """The model's own answer: scores where it has any, else the image's embedding."""
        takes_text = "logit_scale" in dict(model.named_parameters())
        with torch.no_grad():
            answer = model.eval()(**(inputs if takes_text else {"pixel_values": inputs["pixel_values"]}))
        for name in ("logits_per_image", "logits", "pooler_output"):
            if name in answer:
                if not torch.isfinite(answer[name]).all():
                    raise ValueError(f"{name} holds values that are not finite")
                return answer[name]
        raise ValueError(f"the output has none of the expected fields, only {list(answer)}")

    def shape(result: tuple[Any, torch.Tensor]) -> str:
        return f"{type(result[0]).__name__}, finite output of shape {tuple(result[1].shape)}"

    def opened(auto_name: str, where: str) -> tuple[Any, torch.Tensor]:
        model = getattr(transformers, auto_name).from_pretrained(where, **trust)
        return model, output_of(model)

    def scores_of(task: str, where: str) -> list[dict[str, Any]]:
        """A pipeline's answer, if it is the model's own."""
        answer = transformers.pipeline(task, model=where, **trust)(
            deep, candidate_labels=LABELS, hypothesis_template=TEMPLATE
        )
        scores = {row["label"]: row["score"] for row in answer}
        with torch.no_grad():
            logits = first[0](**processor(images=deep, text=TEXTS, return_tensors="pt")).logits_per_image[0]
        difference = (logits.softmax(-1) - torch.tensor([scores[label] for label in LABELS])).abs().max().item()
        if difference > LAST_BITS:
            raise ValueError(f"its scores differ from those of processor and model by up to {difference:g}")
        return answer

    references = config.auto_map
    own = [name for name in references if references[name].split(".")[-1] == config.architectures[0]]
    # a whole PedCLIP opens as a classifier too, with a new head; a classifier or a tower only as what it is
    auto_names = [name for name in references if name.startswith("AutoModel")] if "AutoModel" in own else own
    results = {name: checks.run(name, partial(opened, name, folder), shape) for name in auto_names}
    first = results[own[0]]
    if "AutoModelForZeroShotImageClassification" in own:
        for task in ("zero-shot-image-classification", "pedclip-zero-shot"):
            checks.run(
                f'pipeline("{task}")',
                partial(scores_of, task, folder),
                lambda answer: ", ".join(f"{row['label']} {row['score']:.3f}" for row in answer),
            )

    def volume_answers() -> float:
        """Three slices through processor and model, and that a volume of one slice is that image."""
        film = np.asarray(image)
        slices = np.stack([film, film[::-1], film // 2])
        with torch.no_grad():
            study = first[0](**processor(volumes=slices, text=TEXTS, return_tensors="pt"))
            alone = first[0](**processor(volumes=slices[:1], text=TEXTS, return_tensors="pt")).logits_per_image
            single = first[0](**processor(images=image, text=TEXTS, return_tensors="pt")).logits_per_image
        if not torch.isfinite(study.logits_per_image).all():
            raise ValueError("logits_per_image of a volume holds values that are not finite")
        if study.slice_attentions.shape != (1, 3) or abs(study.slice_attentions.sum().item() - 1) > LAST_BITS:
            raise ValueError(f"the slices' shares are {study.slice_attentions.tolist()}; they are three and sum to 1")
        difference = (alone - single).abs().max().item()
        if difference > LAST_BITS * single.abs().max().clamp(min=1).item():
            raise ValueError(f"a volume of one slice differs from that image by up to {difference:g}")
        return difference

    def compared_with_saved() -> list[dict[str, Any]]:
        saved = Path(folder) / fingerprints.FILE
        if not saved.is_file():
            raise FileNotFoundError(f"no {fingerprints.FILE}; `pedclip export DIR OUT` makes a folder that has one")
        now = fingerprints.fingerprint(first[0], processor or image_processor)
        return fingerprints.compare(json.loads(saved.read_text(encoding="utf-8")), now)

    def saved_again() -> float:
        model, before = first
        with tempfile.TemporaryDirectory() as again:
            model.save_pretrained(again)
            (processor or image_processor).save_pretrained(again)
            difference = (opened(own[0], again)[1] - before).abs().max().item()
            if "AutoModelForZeroShotImageClassification" in own:
                scores_of("zero-shot-image-classification", again)
        if difference > LAST_BITS:
            raise ValueError(f"the same input gives another output: largest difference {difference:g}")
        return difference

    def handler_answers() -> float:
        """The endpoint's handler, run as an endpoint runs it, against the model's own scores."""
        handler_file = module_at(str(Path(folder) / "handler.py"))
        content = io.BytesIO()
        image.save(content, "PNG")
        answer = handler_file.EndpointHandler(folder)(
            {"inputs": content.getvalue(), "parameters": {"candidate_labels": TEXTS}}
        )
        if "error" in answer:
            raise ValueError(f"it refuses a picture: {answer['error']}")
        scores = {row["label"]: row["score"] for row in answer}
        expected = first[1][0].softmax(-1)
        difference = (expected - torch.tensor([scores[text] for text in TEXTS])).abs().max().item()
        if difference > LAST_BITS:
            raise ValueError(f"its scores differ from the model's by up to {difference:g}")
        return difference

    if first is not None and processor is not None and "volume_pooling" in config.to_dict() and "AutoModel" in own:
        checks.run("a volume", volume_answers, lambda difference: f"one slice as its image: {difference:g}")
    if first is not None and (Path(folder) / "handler.py").is_file():
        checks.run("handler.py", handler_answers, lambda difference: f"largest difference {difference:g}")
    if first is not None:
        checks.run("saved and loaded again", saved_again, lambda difference: f"largest difference {difference:g}")
        rows = checks.run("fingerprint", compared_with_saved)
        if rows is not None:
            checks[-1:] = rows


if __name__ == "__main__":
    main(*sys.argv[1:])
