# Copyright 2026 The PedCLIP contributors. Licensed under the Apache License, Version 2.0.
"""DICOM radiographs as displayed pixels. pydicom is optional: only who reads DICOM needs it.

From stored to displayed value, in the order of PS3.3 C.11 and PS3.4 N.2: bits stored, modality LUT or rescale, VOI LUT
or window (the first one), MONOCHROME1. All of it acts on one value at a time, so that for 8 and 16 bits it is worked
out once for each possible stored value, and a pixel is looked up.
"""

# Shapes: H height, W width
import io
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

import numpy as np

try:
    import pydicom
    import pydicom.pixels
except ImportError:
    pydicom = None

MAX_PIXELS = 50_000_000  # the largest stitched long-leg films have some 30 million
MAX_BYTES = 256 * 2**20
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5  # ours: where a file of more than 8 bits says nothing about its window
ROWS_AT_ONCE = 50
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", DEFLATED}
LONG_FORMS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}  # PS3.5 7.1.2
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NEEDS = 'pip install "pydicom>=3.0.1" "pylibjpeg[all]"'
Read = TypeVar("Read")


class UnreadableImageError(ValueError):
    """The input is no image, a broken one, or one that is not read; the message says which and what to do."""


@dataclass(frozen=True)
class Radiograph:
    """An image as it is displayed, whatever it was stored in."""

    pixels: (
        np.ndarray
    )  # (H, W) or, in colour, (H, W, 3), from 0 (black) to 255: uint8 where nothing is lost, or float32
    bits: int  # that a stored value has
    window: str  # where the display range comes from: "8 bits", "VOI LUT", "window", "percentiles", "full range"


def is_dicom(start: bytes) -> bool:
    """Whether a file that starts like this has DICOM's preamble; very old files have none."""
    return start[128:132] == b"DICM"


def read_dicom(content: bytes) -> Radiograph:
    """One frame of a DICOM file as displayed pixels; UnreadableImageError where there is none."""
    return radiograph_of(read_dataset(content))


def read_header(path: str | os.PathLike, tags: Sequence[str]) -> "pydicom.Dataset":
    """These elements of a file and no others, without reading its pixels."""
    if pydicom is None:
        raise ImportError(f"this is a DICOM file, which pydicom reads, and that is not installed: {NEEDS}")
    try:
        with open(path, "rb") as file:
            start = file.read(2**16)
            if DEFLATED.encode() in start:
                _refuse_bomb(start + file.read(MAX_BYTES), MAX_BYTES)
            file.seek(0)
            return pydicom.dcmread(
                file, stop_before_pixels=True, specific_tags=list(tags), force=not is_dicom(start[:132])
            )
    except UnreadableImageError:
        raise
    except Exception as error:  # as in read_dataset
        raise UnreadableImageError(f"the DICOM file is broken: {said(error)}") from error


def read_dataset(content: bytes, most: int | None = None) -> "pydicom.Dataset":
    """The data set of a DICOM file of at most so many bytes (`None`: a radiograph's), its pixels still encoded."""
    if pydicom is None:
        raise ImportError(f"this is a DICOM file, which pydicom reads, and that is not installed: {NEEDS}")
    most = MAX_BYTES if most is None else most
    if len(content) > most:
        raise UnreadableImageError(f"the file has {len(content)} bytes; at most {most} are read")
    try:
        _refuse_bomb(content, most)
        dataset = pydicom.dcmread(io.BytesIO(content), force=not is_dicom(content[:132]))
        dataset.get("Rows"), dataset.get("PixelData")  # pydicom parses an element when it is asked for
        dataset.buffer = None  # which holds the whole file beside its pixels
    except UnreadableImageError:
        raise
    except Exception as error:  # pydicom raises many kinds on damaged files; all mean the same here
        raise UnreadableImageError(f"the DICOM file is broken: {said(error)}") from error
    if not dataset:
        raise UnreadableImageError("this is no DICOM file: it has no data element")
    return dataset


def radiograph_of(dataset: "pydicom.Dataset") -> Radiograph:
    """The single frame of a data set as displayed pixels."""
    return guarded(_displayed, dataset)


def guarded(read: Callable[..., Read], *arguments: Any) -> Read:
    """What `read` gives; everything that pydicom and its decoders raise on damaged files is one error."""
    try:
        return read(*arguments)
    except (UnreadableImageError, ImportError, KeyboardInterrupt, SystemExit):
        raise
    except MemoryError as error:
        raise UnreadableImageError("the DICOM image takes more memory than there is") from error
    except BaseException as error:  # the panic of a decoder written in Rust is no Exception
        raise UnreadableImageError(f"the DICOM file's image is broken: {said(error)}") from error


def _displayed(dataset: "pydicom.Dataset") -> Radiograph:
    rows, columns = image_size(dataset)
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip().upper()
    if not photometric.startswith("MONOCHROME"):
        return _colour(dataset, photometric)
    stored = stored_values(dataset, rows, columns)
    bits = int(dataset.get("BitsStored") or stored.dtype.itemsize * 8)
    if stored.dtype.itemsize > 2:
        shown, window = _to_display(dataset, stored.astype(np.float64), None, bits)
        pixels = shown.astype(np.float32)
    else:
        # every value that this many bits can hold, in the order of their bit patterns
        patterns = np.arange(256**stored.dtype.itemsize, dtype=f"u{stored.dtype.itemsize}")
        meant = meant_values(patterns, bits, signed=stored.dtype.kind == "i")
        indices = stored.view(patterns.dtype)
        table, window = _to_display(dataset, meant.astype(np.float64), indices, bits)
        whole = bits <= 8 and bool((table == np.round(table)).all())
        pixels = look_up(table.astype(np.uint8 if whole else np.float32), indices)
    return Radiograph(pixels, bits, window)


def _to_display(
    dataset: "pydicom.Dataset", values: np.ndarray, indices: np.ndarray | None, bits: int
) -> tuple[np.ndarray, str]:
    """Stored values as displayed ones, 0..255. `indices` are the pixels, where `values` are only a table."""
    modality = pydicom.pixels.apply_modality_lut(values.astype(np.int64), dataset).astype(np.float64)
    share, window = _by_voi(dataset, modality)
    if share is None:
        used = _used(dataset, values, indices)
        if bits <= 8:
            low, high, window = float(modality.min()), float(modality.max()), "full range"
        else:
            low, high, window = *display_range(modality, used), "percentiles"
        share = np.clip((modality - low) / (high - low), 0, 1) if high > low else np.zeros_like(modality)
    if str(dataset.get("PhotometricInterpretation", "")).strip().upper() == "MONOCHROME1":
        share = 1 - share
    return share * 255, window


def _by_voi(dataset: "pydicom.Dataset", values: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Shares 0..1 by the first VOI LUT, else by the first window; None where the file has neither that makes sense."""
    luts = dataset.get("VOILUTSequence")
    if luts:
        entries, _, bits = (int(number) for number in luts[0].LUTDescriptor)
        if entries != 1:  # of a table with one entry nothing could be seen
            looked_up = pydicom.pixels.apply_voi(np.clip(values, -(2**31), 2**31 - 1).astype(np.int64), dataset)
            return np.clip(looked_up / (2**bits - 1), 0, 1), "VOI LUT"
    centre, width = first_number(dataset.get("WindowCenter")), first_number(dataset.get("WindowWidth"))
    function = str(dataset.get("VOILUTFunction", "LINEAR")).strip().upper() or "LINEAR"
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None, ""
    if function == "SIGMOID":  # PS3.3 C.11.2.1.3.1
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))), "window"
    if function == "LINEAR_EXACT":  # PS3.3 C.11.2.1.3.2
        return np.clip((values - centre) / width + 0.5, 0, 1), "window"
    if width == 1:
        return (values > centre - 0.5).astype(np.float64), "window"
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1), "window"  # PS3.3 C.11.2.1.2.1


def _used(dataset: "pydicom.Dataset", values: np.ndarray, indices: np.ndarray | None) -> np.ndarray:
    """How many pixels have each value, those that only pad the image left out."""
    counts = np.ones(values.size, np.int64) if indices is None else count(indices, values.size)
    padding = dataset.get("PixelPaddingValue")
    if padding is not None:
        ends = sorted((int(padding), int(dataset.get("PixelPaddingRangeLimit", padding))))
        padded = (values.reshape(-1) >= ends[0]) & (values.reshape(-1) <= ends[1])
        if counts[~padded].any():
            counts = np.where(padded, 0, counts)
    return counts


def look_up(table: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """`table[indices]`, a few rows at a time: twice as fast, because they stay in the processor's cache."""
    found = np.empty(indices.shape, table.dtype)
    for first in range(0, len(indices), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        np.take(table, indices[rows], out=found[rows], mode="clip")
    return found


def count(indices: np.ndarray, size: int) -> np.ndarray:
    """How often each of 0..size-1 occurs; in parts, because numpy widens to 64 bits what it counts."""
    flat = indices.reshape(-1)
    counts = np.zeros(size, np.int64)
    for first in range(0, flat.size, 2**18):
        counts += np.bincount(flat[first : first + 2**18], minlength=size)
    return counts


def display_range(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The display range of an image that names none: where 0.5 and 99.5 % of its pixels are reached."""
    order = np.argsort(values.reshape(-1), kind="stable")
    reached = np.cumsum(counts[order])
    low, high = (int(np.ceil(reached[-1] * share / 100)) for share in (LOW_PERCENTILE, HIGH_PERCENTILE))
    ends = order[np.searchsorted(reached, [max(low, 1), max(high, 1)])]
    return float(values.reshape(-1)[ends[0]]), float(values.reshape(-1)[ends[1]])


def meant_values(patterns: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """What bit patterns stand for: the bits above those stored may hold anything (overlays, in old files)."""
    unused = patterns.dtype.itemsize * 8 - bits
    shifted = patterns << unused if unused else patterns
    if signed:
        shifted = shifted.view(f"i{patterns.dtype.itemsize}")
    return shifted >> unused if unused else shifted


def stored_values(dataset: "pydicom.Dataset", rows: int, columns: int) -> np.ndarray:
    """Stored values (H, W) as they lie in the file, the bits above those stored included."""
    syntax = _syntax(dataset)
    allocated = int(dataset.get("BitsAllocated") or 0)
    if int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise UnreadableImageError("the DICOM file calls its image MONOCHROME and gives more than one sample a pixel")
    if syntax in (*NATIVE, BIG_ENDIAN) and allocated in (8, 16):
        kind = "i" if int(dataset.get("PixelRepresentation", 0)) else "u"
        order = ">" if syntax == BIG_ENDIAN else "<"
        content = dataset.PixelData
        needed = rows * columns * allocated // 8
        if len(content) < needed:
            raise UnreadableImageError(f"the DICOM file is cut short: {len(content)} of {needed} bytes of pixels")
        if syntax == BIG_ENDIAN and allocated == 8 and dataset["PixelData"].VR == "OW":
            content = np.frombuffer(content, "u2").byteswap().tobytes()  # bytes lie in words
        flat = np.frombuffer(content, f"{order}{kind}{allocated // 8}", count=rows * columns)
        return flat.reshape(rows, columns).astype(flat.dtype.newbyteorder("="), copy=False)
    return _decoded(dataset, rows, columns)


def _colour(dataset: "pydicom.Dataset", photometric: str) -> Radiograph:
    rows, columns = image_size(dataset)
    pixels = _decoded(dataset, rows, columns)
    bits = int(dataset.get("BitsStored") or 8)
    if photometric == "PALETTE COLOR":
        pixels = pydicom.pixels.apply_color_lut(pixels, dataset)
        bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    if pixels.ndim != 3 or pixels.shape[-1] < 3:
        raise UnreadableImageError(f"a DICOM image that is {photometric!r} is not read; MONOCHROME and RGB are")
    pixels = pixels[..., :3]
    if pixels.dtype == np.uint8 and bits == 8:
        return Radiograph(pixels, bits, "8 bits")
    return Radiograph((pixels * (255 / (2**bits - 1))).astype(np.float32), bits, "full range")


def _decoded(dataset: "pydicom.Dataset", rows: int, columns: int) -> np.ndarray:
    """Pixels through pydicom's decoders: whatever is compressed, in colour, or of an odd depth."""
    syntax = _syntax(dataset)
    if pydicom.uid.UID(syntax).is_compressed and syntax != DEFLATED:
        _refuse_other_size(dataset, rows, columns)
        decoder = pydicom.pixels.get_decoder(pydicom.uid.UID(syntax))
        if not decoder.is_available:
            name = pydicom.uid.UID(syntax).name
            raise ImportError(f"the DICOM file is compressed as {name}, for which a decoder is missing: {NEEDS}")
    pixels = pydicom.pixels.pixel_array(dataset, raw=False)
    if pixels.shape[:2] != (rows, columns):
        raise UnreadableImageError(f"the DICOM file says {rows} x {columns} and holds {pixels.shape[:2]} pixels")
    return np.ascontiguousarray(pixels)


def image_size(dataset: "pydicom.Dataset") -> tuple[int, int]:
    if "PixelData" not in dataset:
        raise UnreadableImageError("the DICOM file has no image: a report, a presentation state, or cut short")
    frames = int(first_number(dataset.get("NumberOfFrames")) or 1)
    if frames > 1:
        raise UnreadableImageError(
            f"the DICOM file has {frames} frames; a radiograph has one: pass a single frame, or volumes=..."
        )
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if rows < 1 or columns < 1:
        raise UnreadableImageError(f"the DICOM file gives its image {rows} rows and {columns} columns")
    refuse_large(columns, rows)
    if not 1 <= int(dataset.get("BitsStored") or 8) <= int(dataset.get("BitsAllocated") or 8) <= 64:
        stored, allocated = dataset.get("BitsStored"), dataset.get("BitsAllocated")
        raise UnreadableImageError(f"the DICOM file stores {stored} bits in {allocated}")
    return rows, columns


def refuse_large(width: int, height: int) -> None:
    """Before anything is decoded: a small file can claim a picture larger than the memory."""
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"the image has {width} x {height} pixels; at most {MAX_PIXELS} are read")


def _refuse_bomb(content: bytes, most: int) -> None:
    """A deflated data set is inflated whole before anything can be asked of it, so it is measured first.

    Where it begins is found as pydicom finds it, element by element: the length that the header gives itself is not
    looked at by pydicom, and so proves nothing.
    """
    if DEFLATED.encode() not in content:
        return
    syntax, start = _file_meta(content)
    if syntax is None:
        raise UnreadableImageError("the DICOM file may be deflated, and its header does not say where that begins")
    if syntax != DEFLATED:  # it is only mentioned
        return
    unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for first in range(start, len(content), 2**16):
        packed = content[first : first + 2**16]
        while packed and not unpacker.eof:
            size += len(unpacker.decompress(packed, 2**20))  # counted and let go: only its size is asked for
            packed = unpacker.unconsumed_tail
            if size > most:
                raise UnreadableImageError(f"the DICOM file inflates to more than {most} bytes")


def _file_meta(content: bytes) -> tuple[str | None, int]:
    """The transfer syntax and the end of the file meta information (PS3.10 7.1); None where it is not well formed."""
    place, syntax = (132 if is_dicom(content[:132]) else 0), None
    while content[place : place + 2] == b"\x02\x00":
        kind, wide = content[place + 4 : place + 6], content[place + 4 : place + 6] in LONG_FORMS
        if not (kind.isalpha() and kind.isupper()) or len(content) < place + 12:
            return None, place
        head = 12 if wide else 8
        length = int.from_bytes(content[place + (8 if wide else 6) : place + head], "little")
        value = content[place + head : place + head + length]
        if len(value) < length:
            return None, place
        if content[place + 2 : place + 4] == b"\x10\x00":
            if syntax is not None:
                return None, place
            syntax = value.rstrip(b"\0 ").decode("ascii", "replace")
        place += head + length
    return syntax, place


def _refuse_other_size(dataset: "pydicom.Dataset", rows: int, columns: int) -> None:
    """A decoder makes room for what the compressed stream says, not for what the header says."""
    frame = pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)
    size = stream_size(io.BytesIO(frame))
    if size is not None and size != (columns, rows):
        raise UnreadableImageError(
            f"the DICOM file says {columns} x {rows} pixels and its stream {size[0]} x {size[1]}"
        )


def stream_size(stream: BinaryIO) -> tuple[int, int] | None:
    """(width, height) that a JPEG, JPEG-LS or JPEG 2000 stream gives itself; None where it is neither."""
    start = stream.read(4)
    if start[:4] == b"\xff\x4f\xff\x51":  # start of codestream, then its size
        _, _, right, bottom, left, top = struct.unpack(">HHIIII", stream.read(20))
        return right - left, bottom - top
    if start[:2] != b"\xff\xd8":
        return None
    stream.seek(2)
    while True:
        mark = stream.read(4)
        if len(mark) < 4 or mark[0] != 0xFF:
            return None
        kind, length = mark[1], int.from_bytes(mark[2:], "big")
        if (0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC)) or kind == 0xF7:  # the frame headers
            _, height, width = struct.unpack(">BHH", stream.read(5))
            return width, height
        stream.seek(length - 2, io.SEEK_CUR)


def _syntax(dataset: "pydicom.Dataset") -> str:
    meta = getattr(dataset, "file_meta", None)
    named = meta.get("TransferSyntaxUID") if meta is not None else None
    return str(named or "1.2.840.10008.1.2")  # what a file without that header has


def first_number(value) -> float | None:
    """The first of a DICOM value that may hold several, as a number; None where there is none."""
    if value is None or value == "":
        return None
    try:
        return float(value[0]) if isinstance(value, list | tuple | pydicom.multival.MultiValue) else float(value)
    except (TypeError, ValueError, IndexError):
        return None


def said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
