"""How a child grows: length by age and sex, and when a growth centre appears and fuses.

Median statures are rounded from the CDC 2000 growth charts. Ages of ossification are textbook values for boys,
rounded; girls are ahead of them by a sixth, a stated simplification.
"""

import numpy as np

from .records import Patient

_AGES = (0, 1, 2, 3, 5, 7, 10, 12, 14, 16, 18)  # years
_STATURE = {
    "male": (50, 76, 87, 95, 109, 122, 138, 149, 164, 173, 176),  # cm
    "female": (49, 74, 86, 94, 108, 121, 138, 151, 160, 162, 163),
}
ADULT_STATURE = 176.0
GIRLS_AHEAD = 6 / 7  # a girl's centre appears and fuses at this share of a boy's age
OLDEST_MONTHS = 215  # 17 years and 11 months


def draw_patient(patient_id: str, random: np.random.Generator, age_months: int | None = None) -> Patient:
    """A patient of any age from birth to 17 years, equally likely; bone age differs from age as in health."""
    drawn_age = int(random.integers(0, OLDEST_MONTHS + 1))
    age = drawn_age if age_months is None else age_months
    deviation = float(random.normal()) * (2 + 0.06 * age)  # standard deviation of Greulich and Pyle's order: 2 to 15
    return Patient(
        patient_id=patient_id,
        age_months=age,
        sex="female" if random.random() < 0.5 else "male",
        bone_age_months=float(np.clip(age + deviation, 0, 228)),
        build=float(np.clip(random.normal(), -2, 2.5)),
        stature=float(np.clip(random.normal(), -2, 2)),
    )


def length_scale(patient: Patient) -> float:
    """Lengths of this child as a share of an adult man's."""
    stature = float(np.interp(patient.age_months / 12, _AGES, _STATURE[patient.sex]))
    return stature / ADULT_STATURE * (1 + 0.04 * patient.stature)


def flesh_scale(patient: Patient) -> float:
    """Thickness of soft tissue round a bone as a share of an adult's; infants are plump for their length."""
    plump = float(np.interp(patient.age_months / 12, (0, 1, 4, 8, 18), (1.35, 1.35, 1.12, 1.0, 1.0)))
    return length_scale(patient) * plump * (1 + 0.12 * patient.build)


def ossification(patient: Patient, appears: float, fuses: float) -> float:
    """How far a growth centre is, by bone age: 0 not there yet, 1 fused. `appears` and `fuses` are a boy's years.

    Linear between the two, so bone age can be read back from any centre that is under way.
    """
    sooner = GIRLS_AHEAD if patient.sex == "female" else 1.0
    years = patient.bone_age_months / 12
    if years < appears * sooner:
        return 0.0
    return min((years - appears * sooner) / ((fuses - appears) * sooner), 1.0)


def mineral(patient: Patient) -> float:
    """Density of cortical bone as a share of an adult's."""
    return float(np.interp(patient.age_months / 12, (0, 3, 18), (0.62, 0.72, 0.95)))
