"""An independent reading of a DICOM file, to compare with: pydicom's own functions and numpy, pixel by pixel."""

import io

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def reference(dataset: pydicom.Dataset) -> np.ndarray:
    """Displayed values 0..255, (H, W) or (H, W, 3)."""
    stored = pixel_array(dataset)
    bits = dataset.BitsStored
    if not dataset.PhotometricInterpretation.startswith("MONOCHROME"):
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            stored = pydicom.pixels.apply_color_lut(stored, dataset)
            bits = dataset.RedPaletteColorLookupTableDescriptor[2]
        return stored[..., :3].astype(np.float64) * 255 / (2**bits - 1)
    values = apply_modality_lut(stored, dataset).astype(np.float64)
    if "VOILUTSequence" in dataset:
        bits_out = dataset.VOILUTSequence[0].LUTDescriptor[2]
        shares = apply_voi_lut(apply_modality_lut(stored, dataset), dataset) / (2**bits_out - 1)
    elif dataset.get("WindowWidth") not in (None, ""):
        low, high = window_range(dataset)
        shares = (apply_voi_lut(values, dataset) - low) / (high - low)
    elif bits <= 8:
        low, high = (apply_modality_lut(np.array([end]), dataset)[0] for end in stored_range(dataset))
        low, high = min(low, high), max(low, high)
        shares = (values - low) / (high - low)
    else:
        kept = stored != dataset.PixelPaddingValue if "PixelPaddingValue" in dataset else np.ones_like(stored, bool)
        low, high = np.percentile(values[kept], (0.5, 99.5), method="inverted_cdf")
        shares = np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)
    return 255 * (1 - shares if dataset.PhotometricInterpretation == "MONOCHROME1" else shares)


def stored_range(dataset: pydicom.Dataset) -> tuple[int, int]:
    if dataset.PixelRepresentation:
        return -(2 ** (dataset.BitsStored - 1)), 2 ** (dataset.BitsStored - 1) - 1
    return 0, 2**dataset.BitsStored - 1


def window_range(dataset: pydicom.Dataset) -> tuple[float, float]:
    """What pydicom's windowing maps to: the range of the stored values after the modality transform."""
    if "ModalityLUTSequence" in dataset:
        return 0, 2 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    low, high = stored_range(dataset)
    if "RescaleSlope" in dataset:
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
        return low * slope + intercept, high * slope + intercept
    return low, high


def make(pixels: np.ndarray, *, bits: int, photometric: str = "MONOCHROME2", **fields) -> FileDataset:
    """A single-frame radiograph, native and little-endian; `fields` are further elements by keyword."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["pedclip"])
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    return dataset


def as_bytes(dataset: pydicom.Dataset, **how) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True, **how)
    return buffer.getvalue()
