"""What a model makes of fixed images and texts: saved with it, and compared wherever `pedclip check` looks at it.

A new Pillow, another tokenizer or a change of our own code can move a model's numbers without an error. The pixels'
hashes and summaries, the tokens and the model's outputs, written down when the folder was made, tell what moved.

Imports nothing of PedCLIP: fresh_process.py loads this file by its path, where the package is not importable.
"""

# Shapes: N images, T texts, C channels, H height, W width
import base64
import copy
import hashlib
import platform
import struct
import zlib
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from PIL import features
from transformers import ProcessorMixin

FILE = "fingerprint.json"
FORMAT = 1  # one higher whenever the images, the texts or what is written of them change
PACKAGES = ("numpy", "pillow", "pydicom", "tokenizers", "torch", "transformers")

PIXEL_TOLERANCE = 0.1  # steps of 255: what is less, another rounding in a sum, is no change of the image
OUTPUT_TOLERANCE = 1e-4  # of the largest output, or of 1 where all are below: float32 summed in another order
CELLS = 8  # a side: means over the tensor's parts see a shift of brightness wherever it is
SAMPLES = 256  # single values see another resampling, which no mean does
SAMPLE_STRIDE = 7919  # a prime: the samples walk over all rows, columns and channels
MAX_OUTPUTS = 64  # of a row; a tower's embedding is far wider than a comparison needs

TEXTS = {
    "plain": "chest x-ray",
    "report": "LEFT wrist, 2 views: Salter-Harris II fracture of the distal radius.\n\tNo dislocation.",
    "long": "a radiograph of the hand of a child, normal, no fracture; " * 25,
    "unicode": "Röntgenbild: Mädchen, 7½ Jahre, “normal”, 骨折 ✓ e\u0301",
    "empty": "",
    "space": " \n",
}

# A colour photograph's worth of edges and slopes, 56 x 40, chroma at half size: bytes, as encoders differ
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19i"
    "Z2hnPk1xeXBkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2Nj"
    "Y2NjY2NjY2P/wAARCAAoADgDASIAAhEBAxEB/8QAGQAAAwEBAQAAAAAAAAAAAAAAAAQFAgYD/8QAIBAAAQUBAQEBAAMAAAAAAAAA"
    "AQACAwQRMSESEyJBUf/EABkBAQEBAAMAAAAAAAAAAAAAAAUEBgECA//EACERAAICAgIDAAMAAAAAAAAAAAECAAMEERIhBRMxIjJx"
    "/9oADAMBAAIRAxEAPwBGtIGAanhZbnVDklLCsMtO3qPanl3Da8bn3LEzw8eJKSAuPiYpD9AC73f6VqCs1zcwYq68JwvInUtrf09T"
    "noqzgeKpVHxmqjJQaG60YUjKPz4ochWVuLRGq73dSlDYaB1ChmyWnqFGcfctXD2NyTLEXnxYZVdvFUrRB+anRUbnFcb+PUzFd/Dq"
    "L1Y/gD/FWrzhoSRAa3OEJd85aVoa3XIQMspSv2y8bLSOqZYx7jnNSQuEeb6m6v8APNQ/kuKkKPoiVFHq7izqznHiFdhrNcOIRByd"
    "RFcrQ1OdryhgGp0Wm51CFS6gmZJa1JnjK8P4lXwud4CcQhcqxT9Yrj/j8hFVcDxUqw+M1CF5WMT9iIYsO5RFwQwuf35aTiEIXSqh"
    "H2SIT5G6yllFZ1v+T//Z"
)


def images() -> dict[str, Any]:
    """The test images by name, in the forms in which images come. The same on every machine: integers, no files."""
    deep = _pattern(240, 310, 65536).astype(np.uint16)
    film = (_pattern(60, 46, 4096) // 2 + 700).astype("<u2")
    named: dict[str, Any] = {
        "grey": _pattern(83, 61, 256).astype(np.uint8),
        "grey, large": _pattern(301, 257, 256).astype(np.uint8),
        "grey, 3 x 5": _pattern(3, 5, 256).astype(np.uint8),
        "colour": np.stack([_pattern(57, 40, 256, channel) for channel in range(3)], axis=-1).astype(np.uint8),
        "16-bit": deep,
        "PNG": _png(_pattern(45, 70, 256).astype(np.uint8)),
        "16-bit PNG": _png(deep[::2, ::3].astype(">u2")),
        "JPEG": JPEG,
    }
    if find_spec("pydicom"):  # optional: who has none reads no DICOM
        named["DICOM"] = _dicom(film)
    return named


def fingerprint(model: torch.nn.Module, processor: Any) -> dict[str, Any]:
    """What JSON can hold of `processor`'s tensors and tokens and of `model`'s outputs, in float32.

    `processor` is a PedCLIP processor, or for a tower its image processor. `model` is put into evaluation mode.
    """
    whole = isinstance(processor, ProcessorMixin)
    image_processor = processor.image_processor if whole else processor
    pixels = {
        name: image_processor(image, return_tensors="pt").pixel_values.float() for name, image in images().items()
    }
    written: dict[str, Any] = {
        "format": FORMAT,
        "versions": versions(),
        "levels": _levels(image_processor),
        "images": {name: _summary(tensor[0].numpy()) for name, tensor in pixels.items()},
    }
    inputs = {"pixel_values": torch.cat(list(pixels.values()))}  # (N, C, H, W)
    columns = None
    if whole:
        encoded = processor(text=list(TEXTS.values()), return_tensors="pt")
        kept = encoded["attention_mask"].bool()
        rows = zip(TEXTS, encoded["input_ids"], kept, strict=True)
        written["texts"] = {name: _shown(ids[mask].tolist()) for name, ids, mask in rows}
        if "logit_scale" in dict(model.named_parameters()):
            inputs |= dict(encoded)
            columns = list(TEXTS)
    outputs = _outputs(model, inputs)
    names = list(pixels)
    if columns and "slice_pooling.score.weight" in dict(model.named_parameters()):  # an adapter for volumes
        study = {"pixel_values": inputs["pixel_values"][None]}  # (1, N, C, H, W): the images as slices of one
        outputs = torch.cat((outputs, _outputs(model, inputs | study)))
        names.append("volume")
    outputs = outputs[:, :MAX_OUTPUTS]
    written["columns"] = columns or [str(column) for column in range(outputs.shape[1])]
    written["outputs"] = {name: _shown(row.tolist()) for name, row in zip(names, outputs, strict=True)}
    return written


def versions() -> dict[str, str]:
    """What, besides our own code, decides the numbers."""
    found = {name: version(name) if find_spec("PIL" if name == "pillow" else name) else "none" for name in PACKAGES}
    libjpeg = features.version_feature("libjpeg_turbo") or features.version_codec("jpg") or "none"
    return found | {"libjpeg": libjpeg, "machine": platform.machine()}


def compare(saved: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows for the table of `pedclip check`, `{"name", "ok", "detail"}`: what of `now` is not as it was `saved`."""
    if saved.get("format") != now["format"]:
        detail = (
            f"{FILE} has format {saved.get('format')}, and {now['format']} is known; `pedclip export` writes it anew"
        )
        return [{"name": "fingerprint", "ok": False, "detail": detail}]
    rows = [("same pixels", *_compare_images(saved, now))]
    if "texts" in saved or "texts" in now:
        rows.append(("same tokens", *_compare_texts(saved.get("texts", {}), now.get("texts", {}))))
    rows.append(("same outputs", *_compare_outputs(saved, now)))
    packages = [
        f"{name} {then}, here {here}"
        for name, here in now["versions"].items()
        if (then := saved["versions"].get(name, "none")) != here
    ]
    since = f"; saved with {', '.join(packages)}" if packages else ""
    return [{"name": name, "ok": ok, "detail": detail + ("" if same else since)} for name, ok, same, detail in rows]


def _compare_images(saved: dict[str, Any], now: dict[str, Any]) -> tuple[bool, bool, str]:
    """Whether it passes, whether nothing at all differs, and what to say; so for texts and outputs too."""
    both, uncompared = _in_both(saved["images"], now["images"])
    wrong: list[str] = []
    small: list[str] = []
    for name in both:
        then, here = saved["images"][name], now["images"][name]
        if then["shape"] != here["shape"]:
            wrong.append(f"{name} is {here['shape']}, was {then['shape']}")
        elif then["sha256"] != here["sha256"]:
            # in the saved units: were the normalization's own change measured by itself, nothing would have moved
            moved = np.abs(_numbers(then["values"]) - _numbers(here["values"])).max() * saved["levels"]
            said = f"{name} by {moved:.1f}/255" if moved >= 1 else f"{name} by {moved:.2g}/255"
            (small if moved <= PIXEL_TOLERANCE else wrong).append(said)
    if wrong:
        return False, False, f"moved: {', '.join(wrong)}{uncompared}"
    if small:
        return bool(both), False, f"moved, by no more than rounding: {', '.join(small)}{uncompared}"
    return bool(both), not uncompared, f"{len(both)} images, bit for bit{uncompared}"


def _compare_texts(saved: dict[str, str], now: dict[str, str]) -> tuple[bool, bool, str]:
    both, uncompared = _in_both(saved, now)
    wrong = []
    for name in both:
        then, here = saved[name].split(), now[name].split()
        changed = [place for place, (old, new) in enumerate(zip(then, here, strict=False)) if old != new]
        if len(then) != len(here):
            wrong.append(f"{name!r} has {len(here)} tokens, had {len(then)}")
        elif changed:
            place = changed[0]
            wrong.append(f"{name!r} has token {here[place]} at place {place}, had {then[place]}")
    if wrong:
        return False, False, f"moved: {', '.join(wrong)}{uncompared}"
    return bool(both), not uncompared, f"{len(both)} texts{uncompared}"


def _compare_outputs(saved: dict[str, Any], now: dict[str, Any]) -> tuple[bool, bool, str]:
    both, uncompared = _in_both(saved["outputs"], now["outputs"])
    if not both or saved["columns"] != now["columns"]:
        detail = f"{len(now['columns'])} outputs an image, and {len(saved['columns'])} when saved"
        return False, False, f"not comparable: {detail}{uncompared}"
    then = np.stack([_numbers(saved["outputs"][name]) for name in both])  # (N, T)
    here = np.stack([_numbers(now["outputs"][name]) for name in both])
    moved = np.nan_to_num(np.abs(here - then), nan=np.inf)
    allowed = OUTPUT_TOLERANCE * max(1.0, float(np.nan_to_num(np.abs(then)).max()))
    row, column = np.unravel_index(moved.argmax(), moved.shape)
    where = f"{both[row]} with {saved['columns'][column]!r}"
    largest = f"largest difference {moved.max():.2g}"
    if moved.max() > allowed:
        return False, False, f"moved: {largest} ({where}), allowed {allowed:.2g}{uncompared}"
    return True, not moved.any() and not uncompared, f"{moved.size} numbers, {largest}{uncompared}"


def _in_both(saved: dict[str, Any], now: dict[str, Any]) -> tuple[list[str], str]:
    both = [name for name in saved if name in now]
    alone = [*(name for name in saved if name not in now), *(name for name in now if name not in saved)]
    return both, f"; not compared: {', '.join(alone)}" if alone else ""


def _outputs(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """(N, T) logits, or (N, columns) of what else the model answers with an image."""
    if any(parameter.dtype != torch.float32 for parameter in model.parameters()):
        model = copy.deepcopy(model).float()  # half precision differs from machine to machine far more than weights do
    with torch.no_grad():
        answer = model.eval()(**inputs)
    return next(answer[name] for name in ("logits_per_image", "logits", "pooler_output") if name in answer)


def _levels(image_processor: Any) -> float:
    """How many of the 255 steps of brightness one unit of the tensor is."""
    deviation = max(image_processor.image_std) if image_processor.do_normalize else 1.0
    return deviation / image_processor.rescale_factor if image_processor.do_rescale else deviation


def _summary(tensor: np.ndarray) -> dict[str, Any]:
    """Of (C, H, W): the hash of its bytes, and numbers that say how far it is from another."""
    tensor = np.ascontiguousarray(tensor, dtype="<f4")
    cells = [
        part.mean(dtype=np.float64)
        for rows in np.array_split(tensor, CELLS, axis=1)
        for part in np.array_split(rows, CELLS, axis=2)
        if part.size
    ]
    samples = tensor.reshape(-1)[np.arange(min(SAMPLES, tensor.size)) * SAMPLE_STRIDE % tensor.size]
    whole = [tensor.mean(dtype=np.float64), tensor.std(dtype=np.float64), tensor.min(), tensor.max()]
    return {
        "shape": list(tensor.shape),
        "sha256": hashlib.sha256(tensor.tobytes()).hexdigest(),
        "values": _shown([float(value) for value in (*whole, *cells, *samples)]),
    }


def _shown(values: list[int] | list[float]) -> str:
    """Numbers in one line of the JSON file, where a list would take a line for each."""
    return " ".join(str(value) if isinstance(value, int) else f"{value:.6f}" for value in values)


def _numbers(shown: str) -> np.ndarray:
    return np.array([float(value) for value in shown.split()])


def _pattern(height: int, width: int, levels: int, phase: int = 0) -> np.ndarray:
    """Slopes, rings that get finer outwards, and a bright square: integers (H, W) in 0..levels-1, no randomness."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    slope = (x * 3 + y * 5 + phase * 40) * levels // (width * 3 + height * 5 + 81)
    rings = (x * x + y * y * (phase + 1)) * levels // 97 % levels
    square = (abs(x - width // 2) < width // 6) & (abs(y - height // 3) < height // 8)
    return np.where(square, levels - 1, (2 * slope + rings) // 3)


def _png(pixels: np.ndarray) -> bytes:
    """A grey PNG written out by hand, so that no encoder has a part in it. 16 bits come in big-endian order."""
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, pixels.dtype.itemsize * 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _dicom(pixels: np.ndarray) -> bytes:
    """A film of 12 bits in explicit little-endian order: dark is high (MONOCHROME1), a rescaling and a window."""
    rows, columns = (struct.pack("<H", side) for side in pixels.shape)
    words = {
        name: struct.pack("<H", value) for name, value in {"one": 1, "16": 16, "12": 12, "11": 11, "0": 0}.items()
    }
    elements = [
        (0x0028, 0x0002, b"US", words["one"]),  # samples per pixel
        (0x0028, 0x0004, b"CS", b"MONOCHROME1 "),
        (0x0028, 0x0010, b"US", rows),
        (0x0028, 0x0011, b"US", columns),
        (0x0028, 0x0100, b"US", words["16"]),  # bits allocated, stored, the highest
        (0x0028, 0x0101, b"US", words["12"]),
        (0x0028, 0x0102, b"US", words["11"]),
        (0x0028, 0x0103, b"US", words["0"]),  # unsigned
        (0x0028, 0x1050, b"DS", b"1500"),  # window: centre, width
        (0x0028, 0x1051, b"DS", b"1600"),
        (0x0028, 0x1052, b"DS", b"-100"),  # rescaling: intercept, slope
        (0x0028, 0x1053, b"DS", b"1.25"),
        (0x7FE0, 0x0010, b"OW", pixels.tobytes()),
    ]
    syntax = _element(0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2.1\0")
    length = _element(0x0002, 0x0000, b"UL", struct.pack("<I", len(syntax)))
    return bytes(128) + b"DICM" + length + syntax + b"".join(_element(*element) for element in elements)


def _element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    length = struct.pack("<HI", 0, len(value)) if kind == b"OW" else struct.pack("<H", len(value))
    return struct.pack("<HH", group, number) + kind + length + value
