"""Which samples make up each training batch: shuffled, reproducible, and equal however many processes share it."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .sample import Sample

BLOCKS_AT_ONCE = 8


class Pick(NamedTuple):
    """A sample's place in the training, so that whatever is drawn for it depends on that place alone."""

    sample_index: int
    epoch: int
    batch: int  # of the epoch
    position: int  # of the epoch; with the epoch and the seed it decides the sample's augmentation


class PairBatches:
    """Batches over all processes: train.py gives each process its share, so two see together what one would.

    Call `set_epoch` before each epoch; its batches follow from the seed and the epoch, so a resumed run goes on with
    the same ones. The last, smaller batch is left out: it would have fewer negatives.

    Samples that hold the same value in the column `together` come in the same batch, as each other's hard negatives.

    Where samples lie in blocks that are read as a whole (row groups of shards), the blocks are shuffled, and samples
    only within BLOCKS_AT_ONCE of them: else every image would cost the reading of its block.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        batch_size: int,
        seed: int,
        balance: float = 0.0,
        together: str | None = None,
        blocks: np.ndarray | None = None,
    ):
        if batch_size > len(samples):
            raise ValueError(f"batch_size is {batch_size} and there are {len(samples)} samples; take a smaller batch")
        self.batch_size = batch_size
        self.drop_last = True
        self.seed = seed
        self.epoch = 0
        counts = Counter(sample.body_part for sample in samples)
        self.weights = np.array([counts[sample.body_part] ** -balance for sample in samples])
        self.groups = _groups(samples, together, batch_size)
        self.blocks = blocks

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.weights) // self.batch_size

    def __iter__(self) -> Iterator[list[Pick]]:
        order = self._order() if self.groups is None else self._grouped_order(self.groups)
        for batch in range(len(self)):
            first = batch * self.batch_size
            yield [
                Pick(int(order[position]), self.epoch, batch, position)
                for position in range(first, first + self.batch_size)
            ]

    def _order(self) -> np.ndarray:
        random = np.random.default_rng([self.seed, self.epoch])
        order = _shuffled_by_weight(self.weights, random)
        return order if self.blocks is None else order[np.argsort(self._pools(random)[order], kind="stable")]

    def _pools(self, random: np.random.Generator) -> np.ndarray:
        """For each sample when its block is read: the blocks' order is random, BLOCKS_AT_ONCE have the same turn."""
        turns = random.permutation(int(self.blocks.max()) + 1)  # type: ignore[union-attr]
        return turns[self.blocks] // BLOCKS_AT_ONCE

    def _grouped_order(self, groups: Sequence[np.ndarray]) -> np.ndarray:
        """Whole groups one after another, so that none lies across the end of a batch while another one fits there."""
        random = np.random.default_rng([self.seed, self.epoch])
        weights = np.array([self.weights[group].mean() for group in groups])
        waiting: deque[np.ndarray] = deque()
        in_turn = _shuffled_by_weight(weights, random)
        if self.blocks is not None:
            pools = self._pools(random)[[group[0] for group in groups]]
            in_turn = in_turn[np.argsort(pools[in_turn], kind="stable")]
        drawn = iter(in_turn)
        order: list[int] = []
        while len(order) < len(self) * self.batch_size:
            room = self.batch_size - len(order) % self.batch_size
            fits = next((place for place, group in enumerate(waiting) if len(group) <= room), None)
            if fits is not None:
                order += waiting[fits].tolist()
                del waiting[fits]
            elif (number := next(drawn, None)) is not None:
                waiting.append(groups[number])
            elif waiting:  # nothing that is left fits: the group goes into two batches
                order += waiting.popleft().tolist()
            else:  # rare parts are drawn more often, in smaller groups
                drawn = iter(_shuffled_by_weight(weights, random))
        return np.array(order)


def _groups(samples: Sequence[Sample], together: str | None, batch_size: int) -> list[np.ndarray] | None:
    """The samples' numbers by their value in the column; one that holds none is a group by itself."""
    if together is None:
        return None
    members: dict[str, list[int]] = {}
    for number, sample in enumerate(samples):
        if together not in sample.row:
            raise ValueError(f"data.together is {together!r}, a column that {sample.file_name} lacks")
        value = sample.row[together]
        members.setdefault(f"alone {number}" if value is None else f"with {value}", []).append(number)
    large = max(map(len, members.values()))
    if large > batch_size:
        raise ValueError(f"data.together is {together!r}: {large} samples hold the same value, a batch {batch_size}")
    return [np.array(group) for group in members.values()]


def _shuffled_by_weight(weights: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Every number `weight` times on average. Systematic draws: a number's count is its share, rounded up or down.

    Equal weights make that a plain shuffle.
    """
    shuffled = random.permutation(len(weights))
    shares = weights[shuffled] * len(weights) / weights.sum()
    # an even comb over the cumulated shares; 1e-9 and .999 keep rounding from moving a tooth where shares are 1
    ends = np.floor(np.cumsum(shares) + random.random() * 0.999 + 1e-9).astype(int)
    counts = np.diff(ends, prepend=0)
    order = np.repeat(shuffled, counts)
    random.shuffle(order)
    return order
