"""Batches: pairs stay together, rare parts come more often."""

from collections import Counter
from pathlib import Path

import pytest

from pedclip.processing.data.batches import PairBatches
from pedclip.processing.data.sample import Sample

PARTS = ("chest", "hand", "knee", "wrist", "foot")


def samples(count: int = 200) -> list[Sample]:
    """Pairs, a few films alone."""
    rows = []
    for number in range(count):
        pair = None if number % 10 == 0 else f"pair {number // 2}"
        part = PARTS[(number // 2) % len(PARTS)]
        rows.append(Sample(Path("x"), f"{number}.png", part, f"p{number}", "train", row={"pair_id": pair}))
    return rows


def test_films_of_a_pair_come_in_one_batch_and_every_film_once():
    rows = samples()
    batches = PairBatches(rows, 20, seed=0, together="pair_id")
    for epoch in range(3):
        batches.set_epoch(epoch)
        found = [[pick.sample_index for pick in batch] for batch in batches]
        assert len(found) == len(batches) == 10 and all(len(batch) == 20 for batch in found)
        assert sorted(index for batch in found for index in batch) == list(range(200))
        where = {index: number for number, batch in enumerate(found) for index in batch}
        pairs: dict[str, set] = {}
        for index, row in enumerate(rows):
            if row.row["pair_id"]:
                pairs.setdefault(row.row["pair_id"], set()).add(where[index])
        assert sum(len(place) > 1 for place in pairs.values()) <= 1  # the last one may not fit


def test_rare_parts_are_drawn_more_often_with_pairs_too():
    rows = samples(100) + [
        Sample(Path("x"), f"r{n}.png", "rib", f"r{n}", "train", row={"pair_id": None}) for n in range(5)
    ]
    drawn: Counter = Counter()
    for epoch in range(20):
        batches = PairBatches(rows, 15, seed=0, balance=1.0, together="pair_id")
        batches.set_epoch(epoch)
        drawn.update(rows[pick.sample_index].body_part for batch in batches for pick in batch)
    assert drawn["rib"] > 0.6 * drawn["chest"]


def test_a_column_that_is_missing_and_a_group_too_large_are_refused():
    with pytest.raises(ValueError, match="lacks"):
        PairBatches(samples(), 20, seed=0, together="study")
    many = [Sample(Path("x"), f"{n}.png", "hand", "p", "train", row={"pair_id": "one"}) for n in range(30)]
    with pytest.raises(ValueError, match="a batch 20"):
        PairBatches(many, 20, seed=0, together="pair_id")
