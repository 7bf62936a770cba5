"""500 damaged files: each ends in a clear error or in an image, without a crash, a hang or a flood of memory."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_reference import as_bytes, make
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

READER = """
import json, resource, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import pydicom.pixels, numpy
from pedclip.processing.dicom_pedclip import UnreadableImageError
from pedclip.processing.reading_pedclip import read_radiograph
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    began = time.process_time()
    try:
        pixels = read_radiograph(path).pixels
        assert pixels.ndim in (2, 3) and pixels.size and numpy.isfinite(pixels).all()
        assert 0 <= pixels.min() and pixels.max() <= 255
        said = "image"
    except UnreadableImageError as error:
        said = f"refused: {error}"
    found[path.name] = (said, time.process_time() - began)
    print(path.name, file=sys.stderr, flush=True)
gib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
print(json.dumps({"found": found, "gib": gib}))
"""


def originals() -> dict[str, bytes]:
    shades = (np.add.outer(np.arange(90) * 20, np.arange(70) * 25)).astype(np.uint16)
    eight = (shades // 16).astype(np.uint8)
    files = {}
    for form, values in (("PNG", shades), ("TIFF", shades), ("JPEG", eight), ("WEBP", eight), ("BMP", eight)):
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, form)
        files[form.lower()] = buffer.getvalue()
    window = dict(WindowCenter=1500, WindowWidth=2000)
    files["native.dcm"] = as_bytes(make(shades, bits=12, **window))
    for name, syntax in (("rle", RLELossless), ("jls", JPEGLSLossless), ("j2k", JPEG2000Lossless)):
        dataset = make(shades, bits=12, **window)
        dataset.compress(syntax, generate_instance_uid=False)
        files[f"{name}.dcm"] = as_bytes(dataset)
    deflated = make(shades, bits=12, **window)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    files["deflated.dcm"] = as_bytes(deflated)
    return files


def damaged(content: bytes, kind: str, random: np.random.Generator) -> bytes:
    data = bytearray(content)
    if kind == "cut":
        return bytes(data[: int(random.integers(0, len(data)))])
    if kind == "bits":  # anywhere
        for place in random.integers(0, len(data), 8):
            data[place] ^= 1 << int(random.integers(8))
    elif kind == "header":  # sizes, depths and lengths stand at the front
        for place in random.integers(0, min(len(data), 600), 6):
            data[place] = int(random.integers(256))
    elif kind == "huge":  # every place that could be a size becomes one
        for place in random.integers(8, min(len(data), 900) - 4, 3):
            data[place : place + 4] = b"\xff\xfe\xff\x7f"
    else:  # a hole in the middle
        first = int(random.integers(0, len(data)))
        del data[first : first + int(random.integers(1, 400))]
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
def test_500_damaged_files_end_in_an_image_or_in_a_clear_error(tmp_path):
    random = np.random.default_rng(0)
    files = tmp_path / "files"
    files.mkdir()
    kinds = ("cut", "bits", "header", "huge", "hole")
    whole = originals()
    for number in range(500):
        name, content = list(whole.items())[number % len(whole)]
        kind = kinds[number // len(whole) % len(kinds)]
        (files / f"{number:03}-{kind}-{name}").write_bytes(damaged(content, kind, random))
    done = subprocess.run([sys.executable, "-c", READER, files], capture_output=True, text=True, timeout=1200)
    last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
    assert done.returncode == 0, f"died after {last}: {done.stderr[-2000:]}"
    report = json.loads(done.stdout)
    assert len(report["found"]) == 500
    slow = {name: seconds for name, (_, seconds) in report["found"].items() if seconds > 5}
    assert not slow and report["gib"] < 1, (slow, report["gib"])
    refused = [said for said, _ in report["found"].values() if said != "image"]
    assert 100 < len(refused) < 500
    assert all(len(said) > 20 and str(Path(files)) not in said for said in refused)
