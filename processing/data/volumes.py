"""Volumes among the samples: what a row's file holds, read as its recipe says, and padded into batches."""

# Shapes: B studies, S slices (of the longest), C channels, H height, W width
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...configuration.data import VolumesConfig
from ..dicom_pedclip import UnreadableImageError
from ..volume_reading_pedclip import read_volume
from ..volume_windows_pedclip import Volume
from .metadata import column
from .sample import Sample


def volume_of_sample(sample: Sample, config: VolumesConfig) -> Volume:
    """The study that a row's file or folder holds. Raises UnreadableImageError or OSError where it is none."""
    spacing = column(sample.row, config.spacing)
    try:
        return read_volume(sample.path, config.window, None if spacing is None else float(spacing))
    except ValueError as error:
        raise UnreadableImageError(str(error)) from error


def fault_of_volume(sample: Sample, config: VolumesConfig) -> str | None:
    """Why a volume cannot be used, None if it can. Every slice is decoded once."""
    if not sample.path.exists():
        return "file is missing"
    try:
        volume = volume_of_sample(sample, config)
        sizes = {volume[number].shape[1:] for number in range(len(volume))}
    except (UnreadableImageError, OSError) as error:
        return f"volume cannot be read: {error}"
    small = min(min(size) for size in sizes)
    return None if small >= 8 else f"slices are {small} pixels wide; at least 8 are needed"


def decode_volume(
    sample: Sample, config: VolumesConfig, image_processor: Any, **settings: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Every slice through the image processor: pixels (S, C, H, W), and positions in mm (S,)."""
    volume = volume_of_sample(sample, config)
    slices = [image_processor(volume[number], **settings).pixel_values[0] for number in range(len(volume))]
    return torch.from_numpy(np.stack(slices)), torch.from_numpy(np.asarray(volume.positions, np.float32))


def padded(studies: Sequence[torch.Tensor]) -> torch.Tensor:
    """(S, ...) each to (B, S, ...), filled with 0."""
    return torch.nn.utils.rnn.pad_sequence(list(studies), batch_first=True)


def slice_mask(studies: Sequence[torch.Tensor]) -> torch.Tensor:
    """(B, S) bool: which slices of a padded batch are there."""
    return padded([torch.ones(len(study), dtype=torch.bool) for study in studies])
