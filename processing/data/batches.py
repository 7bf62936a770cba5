"""Which samples make up each training batch: shuffled, reproducible, and equal however many processes share it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .sample import Sample


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
    """

    def __init__(self, samples: Sequence[Sample], batch_size: int, seed: int, balance: float = 0.0):
        if batch_size > len(samples):
            raise ValueError(f"batch_size is {batch_size} and there are {len(samples)} samples; take a smaller batch")
        self.batch_size = batch_size
        self.drop_last = True
        self.seed = seed
        self.epoch = 0
        counts = Counter(sample.body_part for sample in samples)
        self.weights = np.array([counts[sample.body_part] ** -balance for sample in samples])

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.weights) // self.batch_size

    def __iter__(self) -> Iterator[list[Pick]]:
        order = self._order()
        for batch in range(len(self)):
            first = batch * self.batch_size
            yield [
                Pick(int(order[position]), self.epoch, batch, position)
                for position in range(first, first + self.batch_size)
            ]

    def _order(self) -> np.ndarray:
        """Every sample `weight` times on average. Systematic draws: a sample's count is its share, rounded up or down.

        Equal weights make that a plain shuffle.
        """
        random = np.random.default_rng([self.seed, self.epoch])
        shuffled = random.permutation(len(self.weights))
        shares = self.weights[shuffled] * len(self.weights) / self.weights.sum()
        # an even comb over the cumulated shares; 1e-9 and .999 keep rounding from moving a tooth where shares are 1
        ends = np.floor(np.cumsum(shares) + random.random() * 0.999 + 1e-9).astype(int)
        counts = np.diff(ends, prepend=0)
        order = np.repeat(shuffled, counts)
        random.shuffle(order)
        return order
