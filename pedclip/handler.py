"""A custom handler for Inference Endpoints: scores of labels, or embeddings, for radiographs sent as bytes or base64.

Written into every folder of a whole model, beside its weights. Runs as plain Python too:

    handler = EndpointHandler("folder")
    handler({"inputs": image_bytes, "parameters": {"candidate_labels": ["wrist x-ray", "chest x-ray"]}})

`inputs` is one image or a list of them: bytes, base64 text, a PIL image, or one of these as {"radiograph": ...}.
On Inference Endpoints choose the task "Custom" and send {"radiograph": base64}: their toolkit opens raw image bodies,
and for known tasks what lies under "image" or "inputs", by itself, in 8 bits and without DICOM. `parameters`:

    candidate_labels      texts, each scored against each image (task "classify")
    hypothesis_template   "{}" unless given: the label as it stands
    task                  "classify", "image-embedding", or "text-embedding", whose inputs are texts, or {"text": one}

The answer is JSON: for "classify" a list of {"label", "score"}, the best first, for several images a list of such
lists; for embeddings lists of numbers of length 1. What is refused gives {"error": {"type", "message"}}. Addresses and
paths are refused: a server would fetch them on the sender's behalf. Not a medical device.
"""

import base64
import binascii
import logging
import threading
from typing import Any

import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor
from transformers.dynamic_module_utils import get_class_from_dynamic_module

logger = logging.getLogger(__name__)

MAX_IMAGE_BYTES = 64 * 2**20  # pixels have a limit of their own, in the image processor
MAX_REQUEST_BYTES = 256 * 2**20  # of all images of a batch
READ_AT_ONCE = 2  # images in their full size, over all requests: what memory has to hold
MAX_BATCH = 16
MAX_LABELS = 256
MAX_LABEL_LENGTH = 2000  # characters; the tokenizer cuts at its own limit anyway
TASKS = ("classify", "image-embedding", "text-embedding")


class RefusedError(ValueError):
    """The request cannot be answered; the message says why."""


class EndpointHandler:
    """Opens the folder once and answers requests, several at a time."""

    def __init__(self, path: str = ""):
        self.model = AutoModel.from_pretrained(path, trust_remote_code=True).eval()
        self.processor = AutoProcessor.from_pretrained(path, trust_remote_code=True)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)
        # requests ask for the same labels again and again
        text_cache = get_class_from_dynamic_module("text_cache_pedclip.PedCLIPTextCache", path)
        self.texts = text_cache(self.model, self.processor)
        # a fast tokenizer keeps its padding in itself, and so serves one request at a time
        self.tokenizing = threading.Lock()
        self.reading = threading.Semaphore(READ_AT_ONCE)

    def __call__(self, data: Any) -> Any:
        try:
            return self._answer(data)
        except RefusedError as error:
            return _refusal("refused", error)
        except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
            return _refusal("unreadable", error)
        except Exception:  # a mistake of ours: the log has it, the sender learns no more than that
            logger.exception("a request failed")
            return _refusal("internal", RuntimeError("the request failed inside the handler; its log says why"))

    def _answer(self, data: Any) -> Any:
        if not isinstance(data, dict) or "inputs" not in data:
            raise RefusedError('a request is {"inputs": ..., "parameters": {...}}')
        parameters = data.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise RefusedError(f"parameters is a {type(parameters).__name__}; it is an object")
        inputs = data["inputs"]
        if isinstance(inputs, dict) and "candidate_labels" in inputs:  # some clients put them beside the image
            parameters = {"candidate_labels": inputs["candidate_labels"], **parameters}
        unknown = sorted(set(map(str, parameters)) - {"candidate_labels", "hypothesis_template", "task"})
        if unknown:
            raise RefusedError(f"unknown parameters: {', '.join(unknown)[:200]}")
        task = parameters.get("task", "classify")
        if task not in TASKS:
            raise RefusedError(f"task is one of {', '.join(TASKS)}")
        several = isinstance(inputs, list)
        batch = inputs if several else [inputs]
        if not 1 <= len(batch) <= MAX_BATCH:
            raise RefusedError(f"{len(batch)} inputs; a request has 1 to {MAX_BATCH}")
        if task == "text-embedding":
            texts = [one.get("text") if isinstance(one, dict) else one for one in batch]
            answers: list[Any] = self._embed_texts(_texts(texts, "inputs")).tolist()
        else:
            phrases = _phrases(parameters) if task == "classify" else []  # refused, if at all, before an image is read
            images = [_image(one) for one in batch]
            total = sum(len(image) for image in images if isinstance(image, bytes))
            if total > MAX_REQUEST_BYTES:
                raise RefusedError(f"images of {total} bytes together; a request has at most {MAX_REQUEST_BYTES}")
            embeds = self._embed_images(images)
            answers = embeds.tolist() if task == "image-embedding" else self._classified(embeds, phrases)
        return answers if several else answers[0]

    def _classified(self, image_embeds: torch.Tensor, texts: list[tuple[str, str]]) -> list[list[dict[str, Any]]]:
        labels, phrases = zip(*texts, strict=True)
        text_embeds = self._embed_texts(list(phrases))
        scale = self.model.logit_scale.detach().float().clamp(max=self.model.config.logit_scale_max).exp().cpu()
        scores = _finite((scale * image_embeds @ text_embeds.T).softmax(dim=-1)).tolist()
        return [
            [
                {"label": label, "score": score}
                for score, label in sorted(zip(row, labels, strict=True), key=lambda pair: -pair[0])
            ]
            for row in scores
        ]

    @torch.inference_mode()
    def _embed_images(self, images: list[Any]) -> torch.Tensor:
        """(N, D), of length 1."""
        read = []
        for image in images:  # one by one: in their full size they are far larger than what the model takes
            with self.reading:
                read.append(self.processor.image_processor(images=image, return_tensors="pt").pixel_values)
        pixel_values = torch.cat(read).to(self.device, self.model.dtype)
        return _directions(self.model.get_image_features(pixel_values=pixel_values).pooler_output)

    def _embed_texts(self, texts: list[str]) -> torch.Tensor:
        """(T, D), of length 1."""
        with self.tokenizing:
            return _finite(self.texts(texts).cpu())


def _image(given: Any) -> Any:
    """What may be handed to the image processor: bytes, or an open picture; never a text, which it would follow."""
    if isinstance(given, dict):
        given = given.get("radiograph", given.get("image"))
    if isinstance(given, Image.Image):
        return given
    if isinstance(given, str):
        if len(given) > MAX_IMAGE_BYTES * 3 // 2:
            raise RefusedError(f"an image of more than {MAX_IMAGE_BYTES} bytes")
        start, comma, after = given.partition(",")
        try:
            text = "".join((after if comma and start.startswith("data:") else given).split())  # lines, as files have
            given = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RefusedError("an image comes as bytes or base64; addresses and paths are not followed") from error
    if not isinstance(given, bytes | bytearray):
        raise RefusedError(f"an image comes as bytes or base64, and not as {type(given).__name__}")
    if not 0 < len(given) <= MAX_IMAGE_BYTES:
        raise RefusedError(f"an image of {len(given)} bytes; 1 to {MAX_IMAGE_BYTES} are taken")
    return bytes(given)


def _phrases(parameters: dict[str, Any]) -> list[tuple[str, str]]:
    """Each label with the text that is compared."""
    labels = parameters.get("candidate_labels")
    if isinstance(labels, str):
        labels = labels.split(",")
    labels = _texts(labels, "candidate_labels")
    template = parameters.get("hypothesis_template", "{}")
    if not isinstance(template, str) or template.count("{}") != 1 or len(template) > MAX_LABEL_LENGTH:
        raise RefusedError('hypothesis_template is a text with one "{}", where the label goes')
    return [(label, template.replace("{}", label)) for label in labels]


def _texts(given: Any, name: str) -> list[str]:
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_LABELS:
        raise RefusedError(f"{name} is a list of 1 to {MAX_LABELS} texts")
    if not all(isinstance(text, str) and text.strip() and len(text) <= MAX_LABEL_LENGTH for text in given):
        raise RefusedError(f"{name} holds texts of 1 to {MAX_LABEL_LENGTH} characters and nothing else")
    return [text.strip() for text in given]


def _directions(embeds: torch.Tensor) -> torch.Tensor:
    """Of length 1, on the CPU in float32."""
    return _finite(torch.nn.functional.normalize(embeds.float(), dim=-1).cpu())


def _finite(values: torch.Tensor) -> torch.Tensor:
    """JSON has no NaN; and what is not finite is the model's fault, not the sender's."""
    if not torch.isfinite(values).all():
        raise RuntimeError("the model gave values that are not finite")
    return values


def _refusal(kind: str, error: BaseException) -> dict[str, dict[str, str]]:
    said = " ".join(str(error).split()) or type(error).__name__
    return {"error": {"type": kind, "message": said[:500]}}
