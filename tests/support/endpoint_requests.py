"""Requests to the endpoint, good ones and hostile ones; its tests and its benchmark send them."""

import io
import struct
import zlib

import numpy as np
from dicom_reference import as_bytes, make
from PIL import Image
from pydicom.uid import JPEG2000Lossless

from pedclip.handler import MAX_BATCH

LABELS = ["wrist x-ray", "chest x-ray", "hand"]
DEEP = np.add.outer(np.arange(60) * 40, np.arange(50) * 30).astype(np.uint16)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = {
    "8 bits": png((DEEP // 16).astype(np.uint8)),
    "16 bits": png(DEEP),
    "DICOM": as_bytes(make(DEEP, bits=12, photometric="MONOCHROME1", WindowCenter=2000, WindowWidth=3000)),
}


def huge_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (20000, 20000)).save(buffer, "PNG")
    return buffer.getvalue()


def bomb_of_dicom() -> bytes:
    dataset = make(DEEP, bits=12)
    dataset.Rows, dataset.Columns = 65000, 65000
    return as_bytes(dataset)


def other_stream() -> bytes:
    dataset = make(DEEP, bits=12)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.Rows = 9000
    return as_bytes(dataset)


def deflated_bomb(group_length: int | None, preamble: bool = True) -> bytes:
    """300 MB of zeros in a third of a megabyte, behind a header whose own length may lie."""
    meta = _element(0x10, b"UI", b"1.2.840.10008.1.2.1.99")
    if group_length is not None:
        meta = _element(0, b"UL", struct.pack("<I", group_length)) + meta
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"OB", 0, 300_000_000))
    packed += b"".join(packer.compress(bytes(10_000_000)) for _ in range(30)) + packer.flush()
    return (bytes(128) + b"DICM" if preamble else b"") + meta + packed


def _element(number: int, kind: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", 2, number, kind, len(value)) + value


GOOD = {"candidate_labels": LABELS}
HOSTILE = {
    "no object": None,
    "a list": [],
    "no inputs": {},
    "nothing": {"inputs": None, "parameters": GOOD},
    "a number": {"inputs": 7, "parameters": GOOD},
    "NaN": {"inputs": float("nan"), "parameters": GOOD},
    "an address": {"inputs": "http://169.254.169.254/latest/meta-data", "parameters": GOOD},
    "a file address": {"inputs": "file:///etc/passwd", "parameters": GOOD},
    "a path": {"inputs": "/etc/passwd", "parameters": GOOD},
    "a path that looks like base64": {"inputs": "/etc/hosts00", "parameters": GOOD},
    "a path in an object": {"inputs": {"image": "/etc/passwd"}, "parameters": GOOD},
    "an object without an image": {"inputs": {"url": "http://a"}, "parameters": GOOD},
    "no bytes": {"inputs": b"", "parameters": GOOD},
    "text as bytes": {"inputs": b"patient,age\n", "parameters": GOOD},
    "a picture cut short": {"inputs": IMAGES["16 bits"][:300], "parameters": GOOD},
    "a huge picture": {"inputs": huge_png(), "parameters": GOOD},
    "a huge DICOM header": {"inputs": bomb_of_dicom(), "parameters": GOOD},
    "deflated": {"inputs": deflated_bomb(28), "parameters": GOOD},
    "deflated, with a length that lies": {"inputs": deflated_bomb(0), "parameters": GOOD},
    "deflated, without a length": {"inputs": deflated_bomb(None), "parameters": GOOD},
    "deflated, without a preamble": {"inputs": deflated_bomb(28, preamble=False), "parameters": GOOD},
    "another size in the stream": {"inputs": other_stream(), "parameters": GOOD},
    "DICOM cut short": {"inputs": IMAGES["DICOM"][:1000], "parameters": GOOD},
    "arrays of values": {"inputs": [[1.0, 2.0]], "parameters": GOOD},
    "an empty batch": {"inputs": [], "parameters": GOOD},
    "a large batch": {"inputs": [IMAGES["8 bits"]] * (MAX_BATCH + 1), "parameters": GOOD},
    "10,000 labels": {"inputs": IMAGES["8 bits"], "parameters": {"candidate_labels": ["a"] * 10_000}},
    "no labels": {"inputs": IMAGES["8 bits"], "parameters": {}},
    "labels that are numbers": {"inputs": IMAGES["8 bits"], "parameters": {"candidate_labels": [1, 2]}},
    "an empty label": {"inputs": IMAGES["8 bits"], "parameters": {"candidate_labels": ["hand", " "]}},
    "a label of a megabyte": {"inputs": IMAGES["8 bits"], "parameters": {"candidate_labels": ["a" * 10**6]}},
    "a template without a place": {"inputs": IMAGES["8 bits"], "parameters": {**GOOD, "hypothesis_template": "x"}},
    "a template with attributes": {
        "inputs": IMAGES["8 bits"],
        "parameters": {**GOOD, "hypothesis_template": "{0.__class__}"},
    },
    "a template that multiplies": {
        "inputs": IMAGES["8 bits"],
        "parameters": {"candidate_labels": ["a" * 2000] * 256, "hypothesis_template": "{}" * 1000},
    },
    "an unknown parameter": {"inputs": IMAGES["8 bits"], "parameters": {**GOOD, "trust_remote_code": True}},
    "an unknown task": {"inputs": IMAGES["8 bits"], "parameters": {**GOOD, "task": "generate"}},
    "parameters that are a list": {"inputs": IMAGES["8 bits"], "parameters": ["a"]},
    "texts that are bytes": {"inputs": [b"a"], "parameters": {"task": "text-embedding"}},
}
