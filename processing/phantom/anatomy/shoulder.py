"""Shoulder and clavicle. Measures are an adult man's in mm, rounded from anatomy textbooks.

Written as for a right shoulder that is seen from the front: the arm to the left, the trunk to the right. The origin
is the middle of the humeral head.
"""

from dataclasses import dataclass

import numpy as np

from ..growth import flesh_scale, length_scale, mineral
from ..records import Patient
from .bones import closing_end, long_bone, round_bone
from .part import BodyPart, View
from .solids import Anatomy, Point, Shape, Solid, draws

RIB_REACH = (44, 62, 75, 84, 90, 94)  # mm by which a rib stands out from the spine


@dataclass(frozen=True)
class Place:
    """Where the humeral head lies on the film; `lift` is how far the trunk is turned away from the arm, degrees."""

    s: float
    centre: Point
    lift: float = 0.0

    def at(self, x: float, y: float, z: float) -> Point:
        a = np.deg2rad(self.lift)
        side, down = x * float(np.cos(a)) + y * float(np.sin(a)), y * float(np.cos(a)) - x * float(np.sin(a))
        return (self.centre[0] + side * self.s, self.centre[1] + down * self.s, self.centre[2] + z * self.s)


def humeral_head(anatomy: Anatomy, patient: Patient, place: Place, shaft_end: Point, noise: np.ndarray) -> int | None:
    """The head above the shaft's upper growth plate, and the greater tubercle."""
    s = place.s
    size = s * (1 + 0.04 * float(noise[7]))
    number, _ = closing_end(
        anatomy,
        patient,
        "humerus",
        (shaft_end[0] + 4 * s, shaft_end[1], shaft_end[2]),
        (0.14, -0.99, 0.03),
        (24 * size, 21.5 * size),
        24 * size,
        -2,
        17.5,
        plate=2.2 * s,
        cortex=0.9 * s,
        dome=0.72,
    )
    round_bone(
        anatomy,
        patient,
        "humerus",
        place.at(-19, -3, 3),
        (6.5 * s, 11 * size, 11 * s),
        1.5,
        6,
        tilt=14,
        cortex=0.8 * s,
    )
    return number


def girdle(anatomy: Anatomy, patient: Patient, place: Place, noise: np.ndarray) -> tuple[int, int]:
    """Scapula and clavicle; the numbers of the glenoid and the clavicle.

    The blade lies 35 degrees out of the frontal plane, so that an oblique view sees it end-on.
    """
    s, dense = place.s, mineral(patient)
    sway, tall, wide, bow, thick, _ = (float(value) for value in noise)
    wide, tall = 1 + 0.05 * wide, 1 + 0.05 * tall
    turn = 3 * sway

    def at(x, y, z):
        return place.at(29 + (x - 29) * wide, y - turn * (x - 29) / 70, z)

    glenoid = anatomy.bone(
        "scapula",
        [at(27.5, 2, -3), at(50, 7, -16)],
        [17.5 * s, 13 * s, 8 * s],
        [11 * s, 8 * s, 4 * s],
        1.1 * s,
        (2 * s, 9 * s),
        dense,
    )
    anatomy.bone(
        "scapula",
        [at(42, 8, -10), at(70, 24, -31), at(100, 34, -52)],
        [15 * s, 36 * tall * s, 56 * tall * s, 62 * tall * s],
        [3.5 * s, 2.0 * s, 1.7 * s, 2.2 * s],
        1.2 * s,
        (3 * s, 9 * s),
        dense,
    )
    anatomy.bone(
        "scapula",
        [at(38, 17, -8), at(52, 60 * tall, -22), at(80, 110 * tall, -42)],
        [6.5 * s, 5 * s, 5 * s],
        [6 * s, 4.5 * s, 3.5 * s],
        1.7 * s,
        (5 * s, 5 * s),
        dense,
    )
    anatomy.bone(
        "scapula",
        [at(98, -2, -60), at(60, -16, -48), at(20, -33, -32)],
        [3 * s, 4.5 * s, 5.5 * s],
        [7 * s, 8 * s, 7 * s],
        1.1 * s,
        (4 * s, 3 * s),
        dense,
    )
    anatomy.bone(
        "scapula",
        [at(24, -33, -34), at(2, -38, -22), at(-11, -36, -2)],
        5.5 * s,
        10 * s,
        1.1 * s,
        (3 * s, 8 * s),
        dense,
    )
    round_bone(
        anatomy, patient, "scapula", at(24, -20, 16), (10 * s, 7.5 * s, 12 * s), -0.5, 12, tilt=15, cortex=1.1 * s
    )
    bent = 1 + 0.2 * bow
    clavicle = anatomy.bone(
        "clavicle",
        [at(-3, -38, -6), at(34, -46, -15 * bent), at(70, -50, -4), at(105, -44, 15 * bent), at(141, -28, 24)],
        [5.5 * s, 6.2 * s, 5.8 * s, 5.8 * s, 6.4 * s, 8.0 * s, 11 * s],
        [10 * s, 8 * s, 6 * s, 5.8 * s, 6.2 * s, 7.4 * s, 9 * s],
        [value * (1 + 0.1 * thick) * s for value in (0.9, 1.6, 2.2, 2.3, 2.2, 1.6, 0.9)],
        (4 * s, 4 * s),
        dense,
    )
    return glenoid, clavicle


def chest(anatomy: Anatomy, patient: Patient, place: Place, noise: np.ndarray, ribs: int):
    """The upper part of one side of the chest: lung and ribs."""
    s, dense = place.s, mineral(patient)
    step, drop, reach = (1 + 0.05 * float(value) for value in noise[:3])
    anatomy.organ(
        "lung",
        [place.at(138, -62, -5), place.at(126, -20, 0), place.at(118, 40, 0), place.at(112, 170, 0)],
        [18 * s, 40 * s, 51 * s, 56 * s],
        [22 * s, 54 * s, 70 * s, 82 * s],
        (22 * s, 0),
    )
    for row, out in enumerate(RIB_REACH[:ribs]):
        high, far = (-58 + 25 * row * step), out * reach
        side = place.at(166 - far, high + (0.2 + 0.07 * row) * far * drop, 0)
        back = [
            place.at(162, high, -58),
            place.at(166 - 0.55 * far, high - 2, -0.75 * far),
            place.at(166 - 0.92 * far, high + (0.12 + 0.04 * row) * far * drop, -0.4 * far),
            side,
        ]
        front = [
            side,
            place.at(166 - 0.86 * far, high + (0.45 + 0.08 * row) * far * drop, 0.45 * far),
            place.at(166 - 0.45 * far, high + (0.7 + 0.08 * row) * far * drop, 0.85 * far),
        ]
        anatomy.bone("rib", back, [4.5 * s, 5 * s, 5.5 * s], [4 * s, 3.5 * s, 3.2 * s], 0.9 * s, (2 * s, 0), dense)
        anatomy.bone(
            "rib", front, [5.5 * s, 5.5 * s, 6 * s], [3.2 * s, 2.8 * s, 2.2 * s], 0.7 * s, (0, 5 * s), 0.9 * dense
        )


def trunk(anatomy: Anatomy, place: Place, f: float):
    """Flesh of the chest. Its own fat shows nowhere: the shoulder's flesh covers its outline."""
    path = (place.at(150, -90, 0), place.at(146, -30, 0), place.at(140, 60, 0), place.at(136, 220, 0))
    wide, deep = [60 * f, 80 * f, 90 * f, 96 * f], [54 * f, 74 * f, 90 * f, 96 * f]
    anatomy.muscle.append(Solid(path, wide, deep, (60 * f, 0.0), "soft", "air"))


def shoulder_flesh(anatomy: Anatomy, place: Place, f: float):
    """Flesh from the shoulder to the neck, and of the arm with the folds of the armpit."""
    anatomy.flesh(
        [
            place.at(-16, -10, -4),
            place.at(36, -28, -6),
            place.at(92, -50, -10),
            place.at(145, -98, -10),
            place.at(172, -150, -10),
        ],
        [30 * f, 37 * f, 46 * f, 52 * f, 54 * f],
        [32 * f, 36 * f, 38 * f, 42 * f, 46 * f],
        (36 * f, 0),
        skin=5 * f,
    )
    anatomy.flesh(
        [
            place.at(4, -54, -2),
            place.at(17, -5, -4),
            place.at(6, 70, -2),
            place.at(-12, 135, 0),
            place.at(-18, 200, 0),
        ],
        [40 * f, 66 * f, 64 * f, 46 * f, 43 * f],
        [38 * f, 46 * f, 47 * f, 44 * f, 43 * f],
        (42 * f, 0),
        skin=5 * f,
    )


def build_shoulder(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = s * (flesh_scale(patient) / length_scale(patient)) ** 0.7
    noise, blade, ribs = draws(shape, 8), draws(shape, 6), draws(shape, 3)
    place = Place(s, ((-30 + shape.offset(4)) * s, -18 * s, 0))
    anatomy = Anatomy(extent=(168 * s, 168 * s), energy=47)
    trunk(anatomy, place, f)
    shoulder_flesh(anatomy, place, f)
    return with_bones(anatomy, patient, place, noise, blade, ribs, shape, count=5, spine=False)


def with_bones(
    anatomy: Anatomy, patient: Patient, place: Place, noise, blade, ribs, shape: Shape, count: int, spine: bool
) -> Anatomy:
    """Arm, girdle and chest; the joint and the sites that both parts share."""
    s = place.s
    neck = place.at(-5, 13, 0)
    lean = -10 + shape.offset(6)
    humerus = long_bone(
        anatomy,
        patient,
        "humerus",
        neck,
        place.at(-5 + lean, 200, 2),
        (18.5 * s, 10.5 * s, 10.5 * s),
        3.6 * s,
        caps=(3 * s, 0),
    )
    head = humeral_head(anatomy, patient, place, neck, noise)
    glenoid, clavicle = girdle(anatomy, patient, place, blade)
    chest(anatomy, patient, place, ribs, count)
    if spine:  # its edge, waisted at each disc
        waist = [17 * s, 15.5 * s] * 6
        path = [place.at(180, -130, -40), place.at(180, 180, -40)]
        anatomy.bone("spine", path, waist, 14 * s, 1.0 * s, (0, 0), mineral(patient))
    faces = [(number, end) for number, end in ((head, 1), (glenoid, 0)) if number is not None]
    anatomy.joint("shoulder joint", place.at(26.5, 0, -2), 18 * s, 14 * s, 3.6 * s, faces, (1.0, 0.0))
    anatomy.may_break("proximal humerus", humerus, 0.02, 0.35, physis=True)
    anatomy.may_break("midshaft of the clavicle", clavicle, 0.3, 0.68)
    return anatomy


def build_clavicle(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = s * (flesh_scale(patient) / length_scale(patient)) ** 0.7
    noise, blade, ribs = draws(shape, 8), draws(shape, 6), draws(shape, 3)
    place = Place(s, (-70 * s, (28 + shape.offset(4)) * s, 0))
    anatomy = Anatomy(extent=(176 * s, 120 * s), energy=47)
    trunk(anatomy, place, f)
    shoulder_flesh(anatomy, place, f)
    return with_bones(anatomy, patient, place, noise, blade, ribs, shape, count=4, spine=True)


SHOULDER = BodyPart(
    "shoulder",
    build_shoulder,
    (View("AP"), View("oblique", turn=50)),
    joints=("shoulder joint",),
    fractures=("proximal humerus",),
)
CLAVICLE = BodyPart(
    "clavicle",
    build_clavicle,
    (View("AP"), View("axial", turn=16, rotation=10)),
    fractures=("midshaft of the clavicle",),
)
