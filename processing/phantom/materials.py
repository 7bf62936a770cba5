"""Linear attenuation of tissues.

Mass attenuation coefficients (cm2/g) and densities (g/cm3) are NIST's (Hubbell and Seltzer, tables 3 and 4, ICRU-44
tissues), rounded; one effective energy stands for a whole spectrum, a stated simplification.
"""

from functools import cache

import numpy as np

_ENERGIES = (30.0, 40.0, 50.0, 60.0, 80.0)  # keV
_MASS_ATTENUATION = {
    "soft": (0.3783, 0.2685, 0.2262, 0.2048, 0.1823),  # skeletal muscle
    "fat": (0.3063, 0.2396, 0.2123, 0.1974, 0.1800),
    "bone": (1.3310, 0.6655, 0.4242, 0.3148, 0.2229),  # cortical
    "water": (0.3756, 0.2683, 0.2269, 0.2059, 0.1837),
    "lead": (30.32, 14.36, 8.041, 5.021, 2.419),
}
_DENSITY = {"soft": 1.05, "fat": 0.95, "bone": 1.92, "water": 1.0, "lead": 11.35}
LUNG_DENSITY = 0.26
# trabecular bone and its marrow: a mixture by volume
TRABECULAR_SHARE = 0.16


@cache
def attenuation(material: str, energy: float) -> float:
    """mm-1 of a material at an effective energy in keV. `marrow` is trabecular bone with its marrow."""
    if material == "air":
        return 0.0
    if material == "marrow":
        return TRABECULAR_SHARE * attenuation("bone", energy) + (1 - TRABECULAR_SHARE) * attenuation("soft", energy)
    if material == "lung":
        return attenuation("soft", energy) * LUNG_DENSITY / _DENSITY["soft"]
    if material not in _DENSITY:
        raise ValueError(f"unknown material {material!r}; there are air, lung, marrow, {', '.join(_DENSITY)}")
    logs = np.interp(np.log(energy), np.log(_ENERGIES), np.log(_MASS_ATTENUATION[material]))
    return float(np.exp(logs)) * _DENSITY[material] / 10
