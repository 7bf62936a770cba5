"""Train, validation and test by patient, for data that come without a split."""

import hashlib

from ...configuration.data import SplitsConfig


def split_of_patient(patient_id: str, splits: SplitsConfig) -> str:
    """The same patient always falls into the same split, whatever other patients there are.

    A hash instead of a shuffle: adding patients later moves nobody from training into the test set.
    """
    digest = hashlib.sha256(f"{splits.seed}:{patient_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < splits.test_share:
        return "test"
    if place < splits.test_share + splits.validation_share:
        return "validation"
    return "train"
