"""Bones outlined on frontal wrists: a light decoder on the image tower's patches, frozen or tuned, measured by Dice.

The paper names data set and measure (GRAZPEDWRI-DX, Dice) and neither masks, split nor decoder. Masks and measure here
are the public protocol's (SamCarriesTheBurden, MetaFormerMedImaging: 63 frontal images, 17 classes that may overlap,
right hands mirrored, Dice without absent classes); all else is ours. That protocol's 384 x 224 pixels are the model's
own square here, and its split the reader's, by patient.
"""

# Shapes: N images, B batch, L levels, D width, C classes, S the side at which masks are compared
import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from ...processing.data.dataset import PairCollator, PairDataset
from ..finite import require_finite
from ..statistics import estimate, paired_difference, share_metric
from .asked import Answer, Asked
from .decoders import DECODERS, Decoder, mask_loss, scaled_widths
from .masks import (
    CLASSES,
    LEVELS,
    constant_mask,
    dice,
    dice_of_pairs,
    draw_masks,
    frontal_with_masks,
    image_dice,
    is_right,
)

FEATURES = {
    "before": "the residual stream as the last layer with experts has it after its attention and before its experts, "
    "through the tower's final norm",
    "after": "the tower's output: after the last layer, through its final norm",
}
AT_ONCE = 32  # images through the frozen tower
EPOCHS, MOST_STEPS = 50, 1500  # 63 real images in batches of 4 take 800 steps
VIT_B = 768  # wide: the tower that MGCA's decoder stands on


class PatchFeatures(nn.Module):
    """An image tower as maps of its patches: (B, channels, H, W) -> (B, L, D, h, w), the deepest level last.

    The deepest is `features`, defined in FEATURES. Where the last layer is the one with experts, "after" is "before"
    plus what its experts add, so the two differ by the experts alone; the attention of that layer is in both, and its
    queries, too, have only learned from [IMG]. Earlier levels are the hidden states a quarter, a half and three
    quarters of the way up (UNETR's 3, 6 and 9 of 12), each through the final norm.
    """

    def __init__(self, tower: Any, features: str, levels: int):
        super().__init__()
        if features not in FEATURES:
            raise ValueError(f"features is {features!r}; choose {' or '.join(FEATURES)} the last experts")
        self.tower = tower
        self.features = features
        layers = len(tower.layers)
        self.earlier = [layers * quarter // levels for quarter in range(1, levels)]
        self.with_experts = [index for index, layer in enumerate(tower.layers) if layer.has_experts]
        if features == "before" and not self.with_experts:
            raise ValueError(
                "the model has no layer with experts (vision_config.mobe_layers is empty), so none is before them; "
                "ask for features='after'"
            )

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        with self._caught() as caught:
            out = self.tower(pixel_values, output_hidden_states=bool(self.earlier), return_dict=True)
        levels = [self.tower.layernorm(out.hidden_states[index]) for index in self.earlier]
        deepest = out.last_hidden_state if self.features == "after" else self.tower.layernorm(caught[0])
        rows = pixel_values.shape[-2] // self.tower.config.patch_size
        maps = torch.stack([*levels, deepest], dim=1)[:, :, 1:]  # without [IMG]: (B, L, patches, D)
        return maps.transpose(2, 3).unflatten(3, (rows, -1))

    @contextmanager
    def _caught(self) -> Iterator[list[torch.Tensor]]:
        """What enters the norm before the last experts, while the tower runs."""
        caught: list[torch.Tensor] = []
        if self.features == "after":
            yield caught
            return
        norm = self.tower.layers[self.with_experts[-1]].layernorm_after
        hook = norm.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
        try:
            yield caught
        finally:
            hook.remove()


@dataclass(frozen=True)
class Wrists:
    """The frontal images of a split that have masks."""

    places: list[int]  # among the split's samples
    patients: list[str]
    pixel_values: torch.Tensor  # (N, 3, H, W)
    truth: np.ndarray  # (N, C, S, S)


@dataclass(frozen=True)
class Chance:
    """What a decoder has to be better than."""

    by_image: np.ndarray  # (N,) mean Dice
    by_class: np.ndarray  # (N, C)
    name: str  # of its column among the predictions
    says: str


def segmentation(
    asked: Asked,
    decoder: str = "setr",
    features: str = "after",
    tuned: bool = False,
    *,
    epochs: int | None = None,
    width: float | None = None,
    side: int | None = None,
    batch_size: int = 4,
    learning_rate: float = 3e-3,
    tower_learning_rate: float = 2e-5,
    weight_decay: float = 0.05,
    mirror_right: bool = True,
) -> Answer:
    """Mean Dice over the frontal test images that have masks; per image the mean over the bones that it has.

    A decoder (`setr`, `unet`) learns on train by BCE and soft Dice with AdamW and one cycle of the learning rate; of
    its epochs the one with the best Dice on validation is taken, and for each class the level of likelihood from which
    a pixel is bone. Its widths are MGCA's times `width`; None: the
    tower's width over ViT-B's. `epochs` None: 50, or as many as make 1,500 steps where those are fewer. `tuned` lets a
    copy of the image tower learn too; its dropout and its stem's statistics stay as in evaluation. Masks are drawn,
    learned and compared at `side` x `side` pixels; None is the side of the model's input. A decoder's output is 16
    times as fine as the patches' grid, and is resized to `side` where that differs. Chance is the best mask that
    ignores the image; in the control, its own predictions against other images' masks. The same seed gives the same
    numbers on the same machine.

    Raises:
        ValueError: an unknown decoder or features, a setting out of range, or a split without frontal masks.
    """
    if decoder not in DECODERS:
        raise ValueError(f"decoder is {decoder!r}; choose {' or '.join(DECODERS)}")
    if (epochs is not None and epochs < 1) or batch_size < 1 or (side is not None and side < 1):
        raise ValueError(f"epochs is {epochs}, batch_size {batch_size}, side {side}; each is at least 1")
    began = time.perf_counter()
    tower = asked.tested.model.vision_model
    side = tower.config.image_size if side is None else side
    width = tower.config.hidden_size / VIT_B if width is None else width
    splits = {name: read_wrists(asked, name, side, mirror_right) for name in ("train", "validation", "test")}
    if epochs is None:
        epochs = max(1, min(EPOCHS, MOST_STEPS // -(-len(splits["train"].places) // batch_size)))
    with torch.random.fork_rng():
        torch.manual_seed(asked.seed)
        kind: Any = DECODERS[decoder]
        learner = Learner(
            PatchFeatures(copy.deepcopy(tower) if tuned else tower, features, kind.levels),
            kind(tower.config.hidden_size, len(CLASSES), scaled_widths(width)).to(tower.device),
            tuned,
        )
        taken, by_epoch = learner.learn(
            splits["train"],
            splits["validation"],
            epochs,
            batch_size,
            learning_rate=learning_rate,
            tower_learning_rate=tower_learning_rate,
            weight_decay=weight_decay,
            seed=asked.seed,
        )
    test = splits["test"]
    levels = learner.levels_on(splits["validation"])
    predicted = learner.predict(test, levels)
    scores = dice(predicted, test.truth)  # (N, C)
    chance = _by_chance(asked, predicted, test, splits["train"].truth)
    metric, by_chance = share_metric(image_dice(scores)), share_metric(chance.by_image)
    drawing = {"resamples": asked.resamples, "seed": asked.seed}
    result = {
        "asks": "where each of 17 bones lies on a frontal wrist",
        "kind": f"segmentation, {'tuned tower' if tuned else 'frozen patches'} {features} the last experts, {decoder}",
        "metric": "mean Dice",
        **estimate(metric, test.patients, **drawing).to_dict(),
        "chance": float(chance.by_image.mean()),
        "chance_is": chance.says,
        "above_chance": paired_difference(metric, by_chance, test.patients, **drawing).to_dict(),
        "classes": _class_rows(scores, chance.by_class, splits["train"].truth, test.patients, drawing),
        "images_used": {name: len(wrists.places) for name, wrists in splits.items()},
        "settings": {
            "decoder": decoder,
            "features": features,
            "features_are": FEATURES[features],
            "tuned": tuned,
            "epochs": epochs,
            "epoch_taken": taken,
            "validation_dice_by_epoch": by_epoch,
            "levels": dict(zip(CLASSES, levels.round(2).tolist(), strict=True)),
            "widths": scaled_widths(width),
            "decoder_parameters": sum(parameter.numel() for parameter in learner.decoder.parameters()),
            "side": side,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            **({"tower_learning_rate": tower_learning_rate} if tuned else {}),
            "weight_decay": weight_decay,
            "mirror_right": mirror_right,
            "images": "frontal (projection 1) and with masks",
        },
        "seconds": time.perf_counter() - began,
    }
    predictions = {"dice": image_dice(scores).tolist(), chance.name: chance.by_image.tolist()}
    for place, name in enumerate(CLASSES):
        predictions[f"dice of {name}"] = [None if np.isnan(one) else float(one) for one in scores[:, place]]
    return Answer(result, predictions, metric, test.patients, test.places)


def _by_chance(asked: Asked, predicted: np.ndarray, test: Wrists, train: np.ndarray) -> Chance:
    """What is reached by looking at no image, or in the control by masks that belong to other images.

    A decoder that learned from masks dealt out at random does worse than the best constant mask, so that would be no
    null for the control. Its own predictions against masks dealt out anew are: the mean over every way to deal is the
    mean over all pairs of a prediction and an image's masks.
    """
    if asked.shuffled:
        pairs = dice_of_pairs(predicted, test.truth)  # (N, N, C)
        known = test.truth.any((0, 2, 3))
        by_class = np.full((len(pairs), pairs.shape[2]), np.nan)
        by_class[:, known] = np.nanmean(pairs[:, :, known], axis=1)
        return Chance(
            np.nanmean(pairs, axis=2).mean(1),
            by_class,
            "permuted_masks",
            "the control's own predictions against the masks of all test images, over every way to deal them out",
        )
    constant = dice(np.broadcast_to(constant_mask(train), test.truth.shape), test.truth)
    says = "the best mask that does not look at the image"
    return Chance(image_dice(constant), constant, "constant_mask", says)


class Learner:
    """A decoder on a tower, learning masks; a frozen tower sees each image once."""

    def __init__(self, features: PatchFeatures, decoder: Decoder, tuned: bool):
        self.features = features.eval()
        self.decoder = decoder
        self.tuned = tuned
        self._kept: dict[int, torch.Tensor] = {}  # a frozen tower's maps, by the identity of the split

    def maps(self, wrists: Wrists, rows: torch.Tensor) -> torch.Tensor:
        device = self.features.tower.device
        if self.tuned:
            return self.features(wrists.pixel_values[rows].to(device))
        if id(wrists) not in self._kept:
            parts = wrists.pixel_values.split(AT_ONCE)
            with torch.no_grad():
                made = [self.features(part.to(device)).float() for part in tqdm(parts, desc="Patches", leave=False)]
            self._kept[id(wrists)] = torch.cat(made)
        return self._kept[id(wrists)][rows.to(device)]

    def logits(self, wrists: Wrists, rows: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S)"""
        maps = self.maps(wrists, rows)
        logits = self.decoder(maps.float(), wrists.pixel_values[rows].to(maps.device))
        side = wrists.truth.shape[-1]
        if logits.shape[-1] == side:
            return logits
        return nn.functional.interpolate(logits, size=(side, side), mode="bilinear", antialias=True)

    def learn(
        self,
        train: Wrists,
        validation: Wrists,
        epochs: int,
        batch_size: int,
        *,
        learning_rate: float,
        tower_learning_rate: float,
        weight_decay: float,
        seed: int,
    ) -> tuple[int, list[float]]:
        """Leaves the weights of the epoch with the best Dice on validation; its number, from 1, and every epoch's."""
        learned = nn.ModuleList([self.decoder, *([self.features.tower] if self.tuned else [])])
        rates = [learning_rate, *([tower_learning_rate] if self.tuned else [])]
        if self.tuned:
            self.features.tower.requires_grad_(True)
        groups = [{"params": module.parameters(), "lr": rate} for module, rate in zip(learned, rates, strict=True)]
        optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay)
        steps = epochs * -(-len(train.places) // batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, max(steps, 2), cycle_momentum=False)
        order = torch.Generator().manual_seed(seed)
        truth = torch.from_numpy(train.truth)
        best: tuple[float, int, dict[str, torch.Tensor]] | None = None
        by_epoch: list[float] = []
        for epoch in tqdm(range(1, epochs + 1), desc="Decoder", unit="epoch", leave=False):
            self.decoder.train()
            for rows in torch.randperm(len(train.places), generator=order).split(batch_size):
                logits = self.logits(train, rows)
                mask_loss(logits, truth[rows].to(logits)).backward()
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            by_epoch.append(float(image_dice(dice(self.predict(validation), validation.truth)).mean()))
            if best is None or by_epoch[-1] > best[0]:
                weights = {name: value.detach().clone() for name, value in learned.state_dict().items()}
                best = (by_epoch[-1], epoch, weights)
        assert best is not None  # there is at least one epoch
        learned.load_state_dict(best[2])
        return best[1], by_epoch

    def predict(self, wrists: Wrists, levels: np.ndarray | float = 0.5) -> np.ndarray:
        """(N, C, S, S) bool: where a class is likelier than `levels`, one for all or one a class (C,)."""
        return self.shares(wrists) > np.broadcast_to(levels, len(CLASSES))[:, None, None]

    @torch.no_grad()
    def shares(self, wrists: Wrists) -> np.ndarray:
        """(N, C, S, S): how likely each pixel is to be of a class."""
        self.decoder.eval()
        rows = torch.arange(len(wrists.places)).split(AT_ONCE)
        shares = torch.cat([self.logits(wrists, part).sigmoid().cpu() for part in rows]).numpy()
        return require_finite(shares, "likelihoods of bones")

    def levels_on(self, wrists: Wrists) -> np.ndarray:
        """(C,): for each class the level with the best mean Dice on these images, a half where none has it.

        A pixel that is bone as often as not need not be the best border: a mask that is unsure has to be wider for its
        Dice, as the constant one is.
        """
        shares = self.shares(wrists)
        by_level = np.stack([np.nansum(dice(shares > level, wrists.truth), axis=0) for level in LEVELS])  # (levels, C)
        return np.where(by_level.any(0), LEVELS[by_level.argmax(0)], 0.5)


def read_wrists(asked: Asked, split: str, side: int, mirror_right: bool) -> Wrists:
    """A split's frontal images with their masks at `side`; right hands are mirrored in both, where asked."""
    images = asked.splits[split]
    places = frontal_with_masks(images.samples, split)
    samples = [images.samples[place] for place in places]
    truth = draw_masks(samples, side, asked.tested.processor.image_processor, mirror_right)
    dataset = PairDataset(samples, asked.tested.processor, asked.data, asked.tested.body_parts)
    collator = PairCollator(asked.tested.processor, asked.data)
    parts = [range(first, min(first + AT_ONCE, len(samples))) for first in range(0, len(samples), AT_ONCE)]
    pixel_values = torch.cat([collator.pixel_values(dataset.__getitems__(part)) for part in parts])
    if mirror_right:
        right = torch.tensor([is_right(sample) for sample in samples])
        pixel_values = torch.where(right[:, None, None, None], pixel_values.flip(-1), pixel_values)
    return Wrists(places, [sample.patient_id for sample in samples], pixel_values, truth)


def _class_rows(
    scores: np.ndarray, chance: np.ndarray, train: np.ndarray, patients: list[str], drawing: dict[str, int]
) -> list[dict[str, Any]]:
    rows = []
    for place, name in enumerate(CLASSES):
        there = np.flatnonzero(~np.isnan(scores[:, place]))
        row: dict[str, Any] = {"class": name, "n_train": int(train[:, place].any((1, 2)).sum()), "n": len(there)}
        if len(there):
            of_class = [patients[one] for one in there]
            row |= estimate(share_metric(scores[there, place]), of_class, **drawing).to_dict()
            row["chance"] = float(chance[there, place].mean())
        rows.append(row)
    return rows
