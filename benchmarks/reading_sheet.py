"""A contact sheet of every kind of input: what our image processor sees, and below it what CLIP's stock one sees.

    python benchmarks/reading_sheet.py docs/data/reading.png                       # phantom films in each form
    python benchmarks/reading_sheet.py runs/reading/real.png ../shared/data/originals/*.*  # files of your own

Real patients' films belong into runs/, never into docs/.
"""

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, ImageDraw
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless, generate_uid
from transformers import CLIPImageProcessorPil

from pedclip import PedCLIPImageProcessor
from pedclip.processing.phantom.rows import films_of
from pedclip.processing.phantom.sheets import child

SIDE, LABEL, COLUMNS = 180, 28, 8


def dicom(pixels: np.ndarray, syntax: str | None = None, photometric: str = "MONOCHROME2", **fields) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1 if pixels.ndim == 2 else 3, photometric
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = 8 if pixels.dtype.itemsize == 1 else 12
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    if syntax:
        dataset.compress(syntax, generate_instance_uid=False)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def phantom_inputs() -> dict[str, bytes]:
    """One film of a child's knee in every form."""
    _, film = next(iter(films_of(child("knee", 9, 3), side=384)))
    deep = film.pixels.astype(np.uint16)  # 12 bits
    eight = (deep >> 4).astype(np.uint8)

    def encoded(pixels: np.ndarray, form: str, **how) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, form, **how)
        return buffer.getvalue()

    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    table = pydicom.Dataset()
    table.add_new(0x00283002, "US", [4096, 0, 12])
    table.add_new(0x00283006, "OW", ((np.linspace(0, 1, 4096) ** 0.7) * 4095).astype(np.uint16).tobytes())
    signed = deep.astype(np.int16) - 2048
    return {
        "JPEG": encoded(eight, "JPEG", quality=92),
        "PNG, 8 bits": encoded(eight, "PNG"),
        "PNG, 12 bits in 16": encoded(deep, "PNG"),
        "PNG, 16 bits": encoded(deep * 16, "PNG"),
        "TIFF, 16 bits": encoded(deep * 16, "TIFF"),
        "TIFF, white is zero": encoded(65535 - deep * 16, "TIFF", tiffinfo={262: 0}),
        "DICOM, window": dicom(deep, **window),
        "DICOM, MONOCHROME1": dicom(4095 - deep, photometric="MONOCHROME1", **window),
        "DICOM, no window": dicom(deep),
        "DICOM, VOI LUT": dicom(deep, VOILUTSequence=pydicom.Sequence([table])),
        "DICOM, signed, rescaled": dicom(signed, RescaleIntercept=2048, RescaleSlope=1, **window),
        "DICOM, 8 bits": dicom(eight),
        "DICOM, RGB": dicom(np.repeat(eight[..., None], 3, axis=2), photometric="RGB"),
        "DICOM, RLE": dicom(deep, RLELossless, **window),
        "DICOM, JPEG-LS": dicom(deep, JPEGLSLossless, **window),
        "DICOM, JPEG 2000": dicom(deep, JPEG2000Lossless, **window),
    }


def cell(read: Callable[[Path], np.ndarray], path: Path) -> Image.Image:
    """The picture that a processor makes of a file, or its refusal in words."""
    try:
        return Image.fromarray((np.clip(read(path), 0, 1) * 255).astype(np.uint8))
    except Exception as error:  # what a user would meet belongs on the sheet, whatever it is
        picture = Image.new("L", (SIDE, SIDE), 40)
        words = f"{type(error).__name__}\n" + str(error).replace(str(path), path.name)[:120]
        ImageDraw.Draw(picture).multiline_text(
            (6, 6), "\n".join(words[n : n + 26] for n in range(0, len(words), 26)), fill=255
        )
        return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="PNG file to write")
    parser.add_argument("files", type=Path, nargs="*", help="images; none: phantom films in each form")
    args = parser.parse_args()
    size = {"height": SIDE, "width": SIDE}
    ours = PedCLIPImageProcessor(size=size, do_normalize=False, keep_aspect_ratio=True)
    stock = CLIPImageProcessorPil(size=size, do_center_crop=False, do_normalize=False)
    rows: list[tuple[str, Callable[[Path], np.ndarray]]] = [
        ("PedCLIP", lambda path: ours(path, return_tensors="np").pixel_values[0, 0]),
        ("CLIP's stock processor", lambda path: stock(str(path), return_tensors="np").pixel_values[0, 0]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        if not args.files:
            for number, (name, content) in enumerate(phantom_inputs().items()):
                suffix = ".dcm" if name.startswith("DICOM") else ".img"
                (Path(folder) / f"{number:02} {name}{suffix}").write_bytes(content)
        paths = [path for path in args.files or sorted(Path(folder).iterdir()) if path.suffix != ".jsonl"]
        lines = -(-len(paths) // COLUMNS)
        height = 2 * SIDE + 2 * LABEL
        sheet = Image.new("L", (min(len(paths), COLUMNS) * (SIDE + 4), lines * height), 255)
        pen = ImageDraw.Draw(sheet)
        for number, path in enumerate(paths):
            x, y = number % COLUMNS * (SIDE + 4), number // COLUMNS * height
            pen.text((x + 2, y + 2), path.stem if args.files else path.stem[3:], fill=0)
            for place, (name, read) in enumerate(rows):
                top = y + LABEL // 2 + place * (SIDE + LABEL // 2)
                sheet.paste(cell(read, path), (x, top))
                pen.text((x + 4, top + SIDE - 12), name, fill=200)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out)
    print(f"{len(paths)} inputs in {args.out}")


if __name__ == "__main__":
    main()
