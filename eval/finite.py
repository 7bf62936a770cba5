"""What a model gives has to be numbers: NaN compares as false, and would look like a perfect or an empty answer."""

from typing import Any

import numpy as np


def require_finite(values: Any, what: str, infinite: bool = False) -> np.ndarray:
    """The values as they came, rows first; ValueError where a row holds NaN, or an infinity unless `infinite`."""
    values = np.asarray(values)
    fine = ~np.isnan(values) if infinite else np.isfinite(values)
    if not fine.all():
        broken = int((~fine.reshape(len(values), -1).all(1)).sum())
        raise ValueError(
            f"{what}: {broken} of {len(values)} rows are not finite (NaN or infinite), and no score can be made of "
            "them; the model's weights are broken or its training ran away: take an earlier checkpoint"
        )
    return values
