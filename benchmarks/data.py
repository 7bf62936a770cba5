"""How fast radiographs become tensors, ours beside others in one run: file to normalized 224 px, shards to batches.

    OMP_NUM_THREADS=1 python benchmarks/data.py --out benchmarks/results/data.json

One process each, one thread, the same files and output size, taken in turn. The films are phantoms at the size of real
ones. Others: (a) transformers' CLIP image processor; (b) torchxrayvision, if --torchxrayvision names the folder that
`pip install --no-deps --target FOLDER torchxrayvision` filled; (c) pydicom's pixel_array and apply_voi_lut, then
Pillow.
"""

import argparse
import json
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pydicom
import torch
from hardware import described
from PIL import Image
from pyarrow import parquet
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels import apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, CLIPImageProcessorPil

from pedclip import PedCLIPConfig, PedCLIPImageProcessor, PedCLIPProcessor
from pedclip.configuration.data import DataConfig
from pedclip.processing.data.batches import PairBatches
from pedclip.processing.data.dataset import PairCollator, PairDataset
from pedclip.processing.data.shards import ShardSamples
from pedclip.processing.phantom.rows import films_of
from pedclip.processing.phantom.study import studies_of

FULL = (3000, 2400)
SIDE = 224
IMAGES, SHARDS, BATCH = 6000, 6, 64


def film(height: int, width: int) -> np.ndarray:
    """A phantom film of 12 bits at this size, with the grain of its quanta."""
    study = next(iter(studies_of(0, 0)))
    _, one = next(iter(films_of(study, side=512)))
    smooth = np.asarray(Image.fromarray(one.pixels.astype(np.float32)).resize((width, height)))
    return np.clip(smooth + np.random.default_rng(0).normal(0, 12, smooth.shape), 0, 4095).astype(np.uint16)


def dicom_of(pixels: np.ndarray) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = 2048, 3600
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def write_files(folder: Path) -> dict[str, Path]:
    large, small = film(*FULL), film(512, 400)
    files = {}
    for name, pixels in (("JPEG, 512 x 400", small), ("JPEG, 3000 x 2400", large)):
        files[name] = folder / f"{len(files)}.jpg"
        Image.fromarray((pixels // 16).astype(np.uint8)).save(files[name], quality=92)
    files["16-bit PNG, 3000 x 2400"] = folder / "large.png"
    Image.fromarray(large * 16).save(files["16-bit PNG, 3000 x 2400"])
    dataset = dicom_of(large)
    files["DICOM, uncompressed, 3000 x 2400"] = folder / "large.dcm"
    dataset.save_as(files["DICOM, uncompressed, 3000 x 2400"], enforce_file_format=True)
    dataset.compress(JPEG2000Lossless)
    files["DICOM, JPEG 2000, 3000 x 2400"] = folder / "j2k.dcm"
    dataset.save_as(files["DICOM, JPEG 2000, 3000 x 2400"], enforce_file_format=True)
    return files


def to_tensor(shown: np.ndarray) -> torch.Tensor:
    resized = Image.fromarray(shown).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy((np.asarray(resized, dtype=np.float32) / 255 - 0.5) / 0.5).expand(3, -1, -1)


def with_pydicom(path: Path) -> torch.Tensor:
    dataset = pydicom.dcmread(path)
    shown = apply_voi_lut(dataset.pixel_array, dataset)
    return to_tensor((shown / (2**dataset.BitsStored - 1) * 255).astype(np.uint8))


def with_numpy(path: Path) -> torch.Tensor:
    """What stands for (c) where the file is a PNG: the same window by numpy, then Pillow."""
    values = np.asarray(Image.open(path)).astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    return to_tensor((np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8))


def torchxrayvision_from(folder: Path) -> Callable[[Path], Any]:
    """Its documented reading: load_image, XRayCenterCrop, XRayResizer. Its models want torchvision; these do not."""
    stub = types.ModuleType("torchvision")
    stub.transforms = types.ModuleType("torchvision.transforms")  # type: ignore[attr-defined]
    stub.transforms.Compose = object  # type: ignore[attr-defined]
    sys.modules |= {"torchvision": stub, "torchvision.transforms": stub.transforms}  # type: ignore[attr-defined]
    package = types.ModuleType("torchxrayvision")
    package.__path__ = [str(folder / "torchxrayvision")]  # type: ignore[attr-defined]
    sys.modules["torchxrayvision"] = package
    import torchxrayvision.datasets as datasets  # type: ignore[import-not-found]
    from torchxrayvision.utils import load_image  # type: ignore[import-not-found]

    crop, resize = datasets.XRayCenterCrop(), datasets.XRayResizer(SIDE)
    return lambda path: torch.from_numpy(resize(crop(load_image(str(path)))))


def rates(methods: dict[str, Callable[[Path], Any]], path: Path, seconds: float) -> dict[str, float]:
    """Images a second of each, the methods taking turns so that a busy moment hits all."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    for method in methods.values():
        method(path)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for name, method in methods.items():
            began = time.perf_counter()
            method(path)
            times[name].append(time.perf_counter() - began)
    return {name: round(1 / float(np.median(taken)), 1) for name, taken in times.items()}


def shard_rate(folder: Path, workers: int) -> float:
    """Images a second from JPEG shards of 256 px to batches with their captions, workers' start left out."""
    data = folder / "shards" / "data"
    data.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number in range(200):
        for study in studies_of(1, number):
            for row, one in films_of(study, side=256):
                target = folder / "one.jpg"
                Image.fromarray((one.pixels // 16).astype(np.uint8)).resize((256, 300)).save(target, quality=90)
                pictures.append(({"bytes": target.read_bytes(), "path": None}, row["body_part"]))
        if len(pictures) >= 500:
            break
    for shard in range(SHARDS):
        rows = [pictures[number % len(pictures)] for number in range(shard, IMAGES, SHARDS)]
        table = pyarrow.table({"image": [row[0] for row in rows], "body_part": [row[1] for row in rows]})
        path = data / f"train-{shard:05}-of-{SHARDS:05}.parquet"
        parquet.write_table(table, path, row_group_size=100, compression="none")
    config = DataConfig(path=str(folder / "shards"))
    samples = ShardSamples(config, "train")
    vocabulary = Path(__file__).parents[1] / "processing" / "phantom" / "tokenizer"
    processor = PedCLIPProcessor(PedCLIPImageProcessor(), AutoTokenizer.from_pretrained(vocabulary))
    loader = DataLoader(
        PairDataset(samples, processor, config, PedCLIPConfig().body_parts),
        batch_sampler=PairBatches(samples, BATCH, seed=0, blocks=samples.blocks),
        collate_fn=PairCollator(processor, config),
        num_workers=workers,
    )
    batches = iter(loader)
    next(batches)
    began, images = time.perf_counter(), 0
    for batch in batches:
        images += len(batch["pixel_values"])
    return round(images / (time.perf_counter() - began), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--torchxrayvision", type=Path, metavar="FOLDER", help="see above")
    parser.add_argument("--seconds", type=float, default=12, help="for each kind of file (default: 12)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    ours, clip = PedCLIPImageProcessor(), CLIPImageProcessorPil()
    methods: dict[str, Callable[[Path], Any]] = {
        "ours": lambda path: ours(path, return_tensors="pt").pixel_values,
        "(a) CLIP image processor": lambda path: clip(str(path), return_tensors="pt").pixel_values,
        "(c) pydicom, apply_voi_lut, Pillow": with_pydicom,
        "(c) numpy percentiles, Pillow": with_numpy,
    }
    kinds = {
        "JPEG": ["ours", "(a) CLIP image processor"],
        "16-bit": ["ours", "(c) numpy percentiles, Pillow"],
        "DICOM": ["ours", "(c) pydicom, apply_voi_lut, Pillow"],
    }
    if args.torchxrayvision:
        methods["(b) torchxrayvision"] = torchxrayvision_from(args.torchxrayvision)
        kinds["JPEG"].append("(b) torchxrayvision")
    result: dict[str, Any] = {
        "images_a_second_on_one_core": {},
        **described(),
        "pydicom": pydicom.__version__,
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write_files(Path(folder)).items():
            chosen = {key: methods[key] for key in kinds[name.split(",")[0].split()[0]]}
            found = rates(chosen, path, args.seconds)
            ratios = {
                f"ours / {key[:3]}": round(found["ours"] / rate, 2) for key, rate in found.items() if key != "ours"
            }
            result["images_a_second_on_one_core"][name] = found | ratios
            print(name, found | ratios, flush=True)
        result["images_a_second_from_shards"] = {f"{n} workers": shard_rate(Path(folder), n) for n in (0, 2)}
    print(json.dumps(result["images_a_second_from_shards"]))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
