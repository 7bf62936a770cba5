"""Samples as the model's inputs: pixels kept in memory where they fit, captions and labels made batch by batch."""

# Shapes: B batch, C channels, H height, W width
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from ...configuration.data import DataConfig, VolumesConfig
from .augment import augment
from .batches import Pick
from .body_parts import NO_EXPERT, expert_indices
from .captions import Captions, template_number
from .curated_experts import experts_told
from .sample import Sample
from .shards import ShardSamples
from .volumes import decode_volume, padded, slice_mask


class Item(NamedTuple):
    """One sample on its way into a batch; without a pick it is seen the way an evaluation sees it."""

    pixels: torch.Tensor  # (C, H, W), of a volume (S, C, H, W); resized, not yet rescaled and normalised
    body_part: int  # expert, or -100
    sample: Sample
    pick: Pick | None
    positions: torch.Tensor | None = None  # of a volume's slices (S,), mm


class PairDataset(Dataset):
    """Decoded, resized images with their labels.

    `dataset[3]` is the fourth sample as it is; `dataset[Pick(...)]`, which PairBatches yields, is the same for
    training. Images are decoded once and kept in the resized form, grey ones as one channel, as 8-bit numbers where
    that loses nothing, until `config.cache_gib` are full (a grey 224 x 224 image takes 49 KiB); the rest are decoded
    at every use, and so are all images of shards.
    """

    def __init__(
        self, samples: Sequence[Sample], processor: Any, config: DataConfig, body_parts: Sequence[str] | None
    ):
        streamed = isinstance(samples, ShardSamples)
        self.samples = samples if streamed else list(samples)
        self.image_processor = processor.image_processor
        if body_parts is None:  # nobody will ask which expert is whose
            self.body_part = [NO_EXPERT] * len(self.samples)
        else:
            rows = [(sample.body_part, sample.row) for sample in self.samples]
            unsaid = [row for row in rows if row[0] not in config.body_part_experts]  # a recipe goes before all else
            experts = {**experts_told(unsaid, body_parts), **config.body_part_experts}
            self.body_part = expert_indices([name for name, _ in rows], body_parts, experts)
        self.volumes = config.volumes
        self._kept: dict[int, Decoded] = {}
        self._room = 0 if streamed else int(config.cache_gib * 2**30)
        if self._room:
            self._fill()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, pick: int | Pick) -> Item:
        return self.__getitems__([pick])[0]

    def __getitems__(self, picks: Sequence[int | Pick]) -> list[Item]:
        """A batch, which is what a DataLoader asks for."""
        indices = [pick.sample_index if isinstance(pick, Pick) else pick for pick in picks]
        unread = [index for index in dict.fromkeys(indices) if index not in self._kept]
        found = self._kept | dict(zip(unread, self._decode(unread), strict=True)) if unread else self._kept
        return [
            Item(
                found[index].pixels,
                self.body_part[index],
                self.samples[index],
                pick if isinstance(pick, Pick) else None,
                found[index].positions,
            )
            for index, pick in zip(indices, picks, strict=True)
        ]

    def _decode(self, indices: Sequence[int]) -> list["Decoded"]:
        settings = {"do_rescale": False, "do_normalize": False, "do_convert_rgb": False}
        if self.volumes is not None:
            return [self._decode_volume(self.samples[index], self.volumes, settings) for index in indices]
        sources = [
            self.samples.content(index) if isinstance(self.samples, ShardSamples) else str(self.samples[index].path)
            for index in indices
        ]
        arrays = self.image_processor(images=sources, **settings).pixel_values
        return [Decoded(_smallest(torch.from_numpy(array))) for array in arrays]

    def _decode_volume(self, sample: Sample, config: VolumesConfig, settings: dict[str, Any]) -> "Decoded":
        pixels, positions = decode_volume(sample, config, self.image_processor, **settings)
        return Decoded(_smallest(pixels), positions)

    def _fill(self) -> None:
        """Decodes in groups, so that a set larger than the room stops soon after it is full."""
        workers = min(8, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) as threads:
            for first in range(0, len(self.samples), 64):
                indices = range(first, min(first + 64, len(self.samples)))
                decoded = threads.map(lambda index: self._decode([index])[0], indices)
                for index, one in zip(indices, decoded, strict=True):
                    self._room -= one.pixels.nbytes
                    if self._room < 0:
                        return
                    self._kept[index] = one


class Decoded(NamedTuple):
    """What a dataset keeps of a sample."""

    pixels: torch.Tensor
    positions: torch.Tensor | None = None


def _smallest(pixels: torch.Tensor) -> torch.Tensor:
    """One channel where all are equal, 8 bits where all are whole numbers; (..., C, H, W)."""
    if pixels.shape[-3] == 3 and bool((pixels[..., 1:, :, :] == pixels[..., :1, :, :]).all()):
        pixels = pixels[..., :1, :, :].clone()
    if pixels.dtype == torch.uint8:
        return pixels
    eight_bit = pixels.to(torch.uint8)
    return eight_bit if bool((eight_bit == pixels).all()) else pixels.float()


class PairCollator:
    """Makes a batch of items the model's inputs: pixel_values, input_ids, attention_mask, token_type_ids, body_part.

    Of volumes pixel_values are (B, S, 3, H, W), padded to the longest, with slice_positions and slice_mask.
    Items that carry a Pick get the augmentation and the template number of their place in training; plain ones get
    neither, and template 0. Unvaried images equal the image processor's own output exactly.
    """

    def __init__(self, processor: Any, config: DataConfig, seed: int = 0):
        self.processor = processor
        self.captions = Captions(config)
        self.augment = config.augment
        self.seed = seed

    def __call__(self, items: Sequence[Item]) -> dict[str, torch.Tensor]:
        pick = items[0].pick
        template = 0 if pick is None else template_number(self.seed, pick.epoch, pick.batch)
        captions = [self.captions.caption(item.sample, template) for item in items]
        without = [item.sample.file_name for item, caption in zip(items, captions, strict=True) if not caption]
        if without:
            raise ValueError(f"{without[0]} has no caption; read_folder leaves such rows out unless told otherwise")
        batch = dict(self.processor(text=captions, return_tensors="pt", padding=True, truncation=True))
        batch |= self.seen(items)
        batch["body_part"] = torch.tensor([item.body_part for item in items])
        return batch

    def pixel_values(self, items: Sequence[Item]) -> torch.Tensor:
        """The images alone, as the model takes them (B, 3, H, W), or of volumes (B, S, 3, H, W)."""
        return self.seen(items)["pixel_values"]

    def seen(self, items: Sequence[Item]) -> dict[str, torch.Tensor]:
        """pixel_values, and of volumes slice_positions in mm and slice_mask (B, S) too."""
        if items[0].positions is None:
            channels = max(item.pixels.shape[0] for item in items)
            pixels = torch.stack([item.pixels.expand(channels, -1, -1) for item in items])
            return {"pixel_values": self._pixel_values(pixels, [item.pick for item in items])}
        positions = [item.positions for item in items if item.positions is not None]
        channels = max(item.pixels.shape[1] for item in items)
        pixels = torch.cat([item.pixels.expand(-1, channels, -1, -1) for item in items])  # (slices of all, C, H, W)
        # each slice of a volume is varied in the same way
        picks = [item.pick for item in items for _ in range(len(item.pixels))]
        studies = self._pixel_values(pixels, picks).split([len(item.pixels) for item in items])
        mask = slice_mask(positions)
        return {"pixel_values": padded(studies), "slice_positions": padded(positions), "slice_mask": mask}

    def _pixel_values(self, pixels: torch.Tensor, places: Sequence[Pick | None]) -> torch.Tensor:
        """(N, 3, H, W)"""
        channels = pixels.shape[1]
        picks = [pick for pick in places if pick is not None]
        if picks and self.augment.enabled:
            rescaled = self._rescaled(pixels)
            return self._normalized(augment(rescaled, self.augment, [self._generator(pick) for pick in picks]))
        if pixels.dtype != torch.uint8 or channels > 1:
            return self._normalized(self._rescaled(pixels))
        shades = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, -1)
        table = self._normalized(self._rescaled(shades))[0, :, 0]  # (3, 256): what each grey becomes
        if not bool((table == table[0]).all()):
            return self._normalized(self._rescaled(pixels))
        return torch.from_numpy(np.take(table[0].numpy(), pixels.numpy())).expand(-1, 3, -1, -1)

    def _rescaled(self, pixels: torch.Tensor) -> torch.Tensor:
        settings = self.processor.image_processor
        # in 64 bits first, as transformers does it: the last bit differs otherwise
        return pixels.double().mul_(settings.rescale_factor).float() if settings.do_rescale else pixels.float()

    def _normalized(self, pixels: torch.Tensor) -> torch.Tensor:
        settings = self.processor.image_processor
        if settings.do_normalize:
            mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (settings.image_mean, settings.image_std))
            return (pixels - mean) / std  # a single channel becomes three here
        return pixels.expand(-1, 3, -1, -1)

    def _generator(self, pick: Pick) -> torch.Generator:
        # 2654435761 is Knuth's multiplicative hash: neighbouring places get unrelated streams
        place = (self.seed * 1_000_003 + pick.epoch) * 1_000_003 + pick.position
        return torch.Generator().manual_seed(place * 2654435761 % 2**63)
