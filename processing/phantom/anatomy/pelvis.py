"""The pelvis and the hip. Measures are an adult man's in mm, rounded from textbooks, times the child's scale.

Points of the innominate bone are given from the midline outwards and from the hip's centre downwards.
"""

# Shapes: none; a point is (x, y, z)
from dataclasses import dataclass

import numpy as np

from ..growth import flesh_scale, length_scale, mineral, ossification
from ..records import Patient
from .part import BodyPart, View
from .solids import Anatomy, Point, Shape, Solid, ball

HIP_AT = 88.0  # mm from the midline to the hip's centre
HEAD = 24.0  # radius of the femoral head
DYSPLASIA = "hip dysplasia"


@dataclass
class Side:
    """One half of the pelvis: where it lies, what varies, and how dysplastic its hip is."""

    name: str  # what the bones' names begin with: "right " or nothing
    sign: int  # -1 where outwards is to the left of the picture, as on the patient's right
    middle: float  # x of the midline, mm
    level: float  # y of the hip's centre
    s: float
    dysplasia: float
    slope: float  # of the acetabular roof, degrees
    neck_shaft: float  # degrees
    anteversion: float  # of the neck, mm of z from its base to the head's centre, adult
    flare: float  # of the iliac wing
    thick: float
    gap: float  # mm of joint space

    def point(self, x: float, y: float, z: float = 0.0) -> Point:
        return (self.middle + self.sign * x * self.s, self.level + y * self.s, z * self.s)

    def points(self, *points: tuple[float, float, float]) -> list[Point]:
        return [self.point(*one) for one in points]


def draw_side(shape: Shape, name: str, sign: int, middle: float, level: float, s: float, dysplasia: float) -> Side:
    """Draws what varies; roof and neck straighten as children walk (Tönnis: 27 degrees at birth, 10 when grown)."""
    age = shape.patient.age_months / 12
    slope = float(np.interp(age, (0, 1, 3, 8, 16), (26, 22, 18, 13, 9))) + shape.offset(2.0)
    angle = float(np.interp(age, (0, 2, 8, 17), (148, 143, 135, 128))) + shape.offset(3.0)
    return Side(
        name, sign, middle, level, s, dysplasia, slope + 20 * dysplasia, angle,
        anteversion=8 * shape.vary(0.2), flare=shape.vary(0.05), thick=shape.vary(0.07), gap=4.2 * shape.vary(0.1),
    )  # fmt: skip


def proximal_femur(
    anatomy: Anatomy, patient: Patient, side: Side, shaft: list[Point] | None = None, length: float = 115.0
) -> dict[str, int | None]:
    """Head, neck, trochanters and shaft of one femur. `shaft`: further points of it, where the film shows more of it.

    A dislocated head stands outwards and upwards of its socket, and its centre stays small.
    """
    s, out, name = side.s, side.sign, f"{side.name}femur"
    dense, bad = mineral(patient), side.dysplasia
    hip = np.array(side.point(HIP_AT + 21 * bad, -2 * bad - 20 * bad**2))
    tilt = np.deg2rad(180 - side.neck_shaft)
    young = float(np.interp(patient.age_months / 12, (0, 4, 12), (0.8, 0.9, 1.0)))
    inward = np.array([-out * np.sin(tilt), -np.cos(tilt), side.anteversion / 50])
    base = hip - inward * 53 * s * young
    done = ossification(patient, 0.4 + 0.3 * bad, 17)
    plate = 0.0 if done == 1.0 else 2.4 * s * (1 - 0.5 * done)
    physis = hip - inward * 9 * s
    numbers: dict[str, int | None] = {"head": None}
    t = side.thick
    numbers["neck"] = anatomy.bone(
        name,
        [tuple(base - inward * 5 * s), tuple((base + physis) / 2), tuple(physis)],
        [n * s * t for n in (15, 18, 17, 17, 20)],
        [n * s * t for n in (15, 13, 12.5, 14, 17)],
        [n * s for n in (0.8, 1.6, 2.2, 1.4, 0.9)],
        (12 * s, 2.5 * s),
        dense,
        end_cortex=0.8 * s,
    )
    rise = ossification(patient, 0, 10)  # the trochanteric mass grows upwards
    top = base + np.array([out * (2 + 4 * rise) * s, -(5 + 13 * rise) * s, 0])
    if shaft is None:
        far = base + np.array([-out * 0.11 * length * s, length * s, 0])
        shaft = [tuple((base + 3 * far) / 4), tuple(far)]
        width, shell = (17, 18.5, 17.5, 16, 15, 14.3, 14, 14), (0.9, 1.5, 2.6, 3.6, 4.5, 5, 5.3, 5.4)
    else:
        width, shell = (
            (17, 19, 19, 16.5, 14.5, 14, 13.5, 13.5, 14, 15.5, 20, 37),
            (1.2, 1.8, 2.8, 4.2, 5.2, 5.6, 5.6, 5.2, 4.4, 3.2, 1.8, 0.9),
        )
    numbers["shaft"] = anatomy.bone(
        name,
        [tuple(top), tuple(base + np.array([0, 14 * s, 0])), *shaft],
        [n * s * t for n in width],
        [min(n, 26) * 0.95 * s * t for n in width],
        [n * s for n in shell],
        ((14 + 8 * rise) * s, 0 if len(shell) == 8 else 2 * s),
        dense,
        end_cortex=1.0 * s,
    )
    if done > 0.0:  # a bead that becomes a dome upon the neck
        grown = (0.3 + 0.7 * min(done / 0.45, 1.0) ** 0.7) * (1 - 0.4 * bad)
        room = (HEAD + 9) * s - plate
        tall = room * (0.2 + 0.8 * grown)
        start = physis + inward * (plate + 0.55 * (room - tall))
        end = start + inward * tall
        wide = HEAD * s * grown
        numbers["head"] = anatomy.bone(
            name,
            [tuple(start), tuple((start + end) / 2), tuple(end)],
            [0.92 * wide, wide, 0.95 * wide],
            [0.92 * wide, wide, 0.95 * wide],
            min(1.2 * s + 0.1, 0.25 * tall),
            ((0.5 - 0.38 * grown) * tall, (0.5 + 0.18 * grown) * tall),
            dense,
        )
    apophysis = ossification(patient, 4, 16)
    if apophysis > 0.0:
        grown = 0.3 + 0.7 * min(apophysis / 0.6, 1)
        centre = base + np.array([out * (13 - 2 * grown) * s, -15 * s, -3 * s])
        half = (10 * s * grown, 15 * s * grown, 13 * s * grown)
        anatomy.bone(name, **ball(tuple(centre), half, -out * 28), cortex=1.2 * s, mineral=dense)
    lesser = base + np.array([-out * 16 * s, 32 * s, -8 * s])
    anatomy.bone(name, **ball(tuple(lesser), (6.5 * s, 12 * s, 7 * s), -out * 18), cortex=1.5 * s, mineral=0.7 * dense)
    return numbers


def innominate(anatomy: Anatomy, patient: Patient, side: Side) -> int:
    """Ilium, pubis and ischium of one side; they meet in the triradiate cartilage until it fuses at 14.

    Returns the number of the solid whose end is the acetabular roof.
    """
    s, dense, t = side.s, mineral(patient), side.thick
    ilium, pubis, ischium = (f"{side.name}{bone}" for bone in ("ilium", "pubis", "ischium"))
    open_ = 1 - ossification(patient, -1, 14)  # of the cartilages between the three, 1 to 0
    w = side.flare
    wing = 1 - 0.12 * open_  # a child's wing is lower and rounder
    anatomy.bone(
        ilium,
        side.points((93, -135 * wing, -8), (92, -88 * wing, -12), (86, -36, -6)),
        [n * s * w for n in (36, 45, 43, 34, 27)],
        [n * s * t for n in (5.0, 4.2, 4.2, 6, 9)],
        [n * s for n in (2.6, 2.2, 2.2, 2.2, 2.0)],
        (26 * s, 4 * s),
        dense,
    )
    crest = ((49, -108, -52), (70, -131, -40), (100, -138, -8), (124, -116, 18), (135, -86, 30))
    anatomy.bone(
        ilium,
        side.points(*((92 + (x - 92) * w, y * wing, z) for x, y, z in crest)),
        [n * s * t for n in (6, 5, 4.5, 5, 6)],
        [n * s * t for n in (8, 6, 6, 6, 7)],
        2.6 * s,
        (5 * s, 6 * s),
        dense,
    )
    # the front border, from the anterior superior spine to the rim
    anatomy.bone(
        ilium,
        side.points((92 + 42 * w, -86 * wing, 28), (116, -55, 24), (110, -30, 10)),
        3.2 * s,
        5 * s,
        1.2 * s,
        (3 * s, 3 * s),
        0.8 * dense,
    )
    # the brim, from the sacroiliac joint to the pubis
    anatomy.bone(
        ilium,
        side.points((47, -78, -42), (57, -50, -28), (62, -24, -6), (60, -9 - 3 * open_, 6)),
        [n * s * t for n in (5, 4, 4, 4.5)],
        [n * s * t for n in (10, 9, 9, 10)],
        1.5 * s,
        (4 * s, 2 * s),
        dense,
    )

    # the roof is tangent to a circle about the hip's centre; its slope is the acetabular index
    slope = np.deg2rad(side.slope)
    normal, lateral = np.array([-np.sin(slope), -np.cos(slope)]), np.array([np.cos(slope), -np.sin(slope)])
    radius = HEAD + side.gap
    bad = side.dysplasia
    roof = np.array([HIP_AT, 0]) + normal * radius + lateral * (-4 - 5 * bad)
    above = roof + normal * 34
    half = 25 - 4 * bad
    body = anatomy.bone(
        ilium,
        side.points((*above, -4), (*((above + roof) / 2), -2), (*roof, 0)),
        [n * s for n in (19, half - 1, half)],
        [n * s * t for n in (4, 10, 16)],
        [n * s for n in (0.8, 1.1, 2.0)],
        (22 * s, 3 * s),
        dense,
        end_cortex=2.0 * s,
    )
    reach = np.deg2rad(np.linspace(-78, 36 - 30 * bad, 5))
    flatter = radius * (1 + 0.5 * bad) + 1.5
    centre = np.array([HIP_AT, 0]) - normal * (flatter - radius - 1.5)
    turn = 0.5 * slope * bad
    anatomy.bone(
        ilium,
        side.points(
            *((centre[0] + flatter * np.sin(a - turn), centre[1] - flatter * np.cos(a - turn), 0) for a in reach)
        ),
        [n * s * t for n in (4.5, 2.8, 2.0, 2.2, 2.8)],
        [n * s * t for n in (9, 11, 12, 11, 8)],
        1.8 * s,
        (2 * s, 2 * s),
        dense,
    )

    gap = 6.0 * open_
    anatomy.bone(
        pubis,
        side.points((67 - gap / 2, 0 + gap / 2, 10), (48, 15, 24), (30, 27, 32), (16, 34, 34), (3.2 + open_, 42, 34)),
        [n * s * t for n in (12, 8.5, 7.5, 9.5, 14)],
        [n * s * t for n in (12, 8, 7, 7, 8)],
        [n * s for n in (1.6, 2.4, 2.6, 2.2, 1.8)],
        (4 * s, 4 * s),
        dense,
    )
    anatomy.bone(
        ischium,
        side.points((72, 4 + gap, -12), (69, 27, -18), (63, 55, -22), (56, 84, -20)),
        [n * s * t for n in (11, 13, 12.5, 15, 14)],
        [n * s * t for n in (15, 14, 13, 14, 13)],
        [n * s for n in (1.0, 2.6, 2.8, 2.6, 2.2)],
        (8 * s, 12 * s),
        dense,
        end_cortex=0.8 * s,
    )
    bridge = 3.0 * (1 - ossification(patient, -2, 7))  # the ischiopubic synchondrosis
    anatomy.bone(
        ischium,
        side.points((55, 80, -14), (44, 76, -2), (33 + bridge / 2, 68, 10)),
        [n * s * t for n in (8, 6.5, 6)],
        6 * s,
        2.4 * s,
        (4 * s, 2 * s),
        dense,
    )
    anatomy.bone(
        pubis,
        side.points((33 - bridge / 2, 67, 10), (22, 59, 20), (10, 48, 30)),
        [n * s * t for n in (6, 6, 7)],
        6 * s,
        2.4 * s,
        (2 * s, 4 * s),
        dense,
    )
    return body


def spine(anatomy: Anatomy, patient: Patient, middle: float, level: float, s: float, lean: float, vertebrae: int):
    """Sacrum, coccyx and the lowest lumbar vertebrae."""
    dense = mineral(patient)
    sacrum = ((-103, 56, 13, -42), (-79, 49, 11, -55), (-58, 40, 9.5, -62), (-40, 31, 8.5, -62), (-24, 23, 7.5, -56))
    for y, half, tall, z in sacrum:
        ends = [(middle + sign * half * s, level + (y - 0.16 * half) * s, z * s) for sign in (-1, 1)]
        anatomy.bone(
            "sacrum",
            [ends[0], (middle, level + y * s, z * s), ends[1]],
            [n * tall * s for n in (1.1, 1.1, 0.55, 0.95, 0.95, 0.55, 1.1, 1.1)],
            [n * s for n in (10, 12, 11, 14, 14, 11, 12, 10)],
            1.6 * s,
            (6 * s, 6 * s),
            0.9 * dense,
        )
    coccyx = ((middle, level - 12 * s, -48 * s), (middle + lean * 0.3, level + 8 * s, -38 * s))
    anatomy.bone("coccyx", coccyx, [8 * s, 4 * s], 5 * s, 0.8 * s, (2 * s, 3 * s), 0.7 * dense)
    for row in range(vertebrae):
        y = -133 - 36 * row
        x = middle + lean * (row + 1) / 3
        low, high = level + (y + 13.5) * s, level + (y - 13.5) * s
        anatomy.bone(
            "lumbar vertebra", [(x, high, -18 * s), (x, low, -18 * s)], [24.5 * s, 22 * s, 24.5 * s], 17 * s, 0.9 * s,
            (2.5 * s, 2.5 * s), dense, end_cortex=1.3 * s,
        )  # fmt: skip
        across = [(x - 44 * s, level + (y - 4) * s, -32 * s), (x + 44 * s, level + (y - 4) * s, -32 * s)]
        anatomy.bone(
            "lumbar vertebra", across, [n * s for n in (3.5, 4, 7.5, 7, 7.5, 4, 3.5)], 6 * s, 1.2 * s,
            (3 * s, 3 * s), dense,
        )  # fmt: skip
        anatomy.bone(
            "lumbar vertebra", **ball((x, level + (y + 9) * s, -52 * s), (3 * s, 10 * s, 12 * s)), cortex=1.2 * s
        )


def bowel_gas(anatomy: Anatomy, shape: Shape, middle: float, level: float, s: float, count: int):
    """Bubbles of gas before the sacrum and the wings, as many as chance has it."""
    for _ in range(count):
        x, y, z = shape.random.uniform((-85, -175, 0), (85, -30, 45))
        long, flat, tilt, there = shape.random.uniform((8, 0.45, -80, 0), (26, 0.9, 80, 1))
        if there < 0.65:
            half = (long * flat * s, long * s, long * flat * 0.9 * s)
            anatomy.organ("air", **ball((middle + x * s, level + y * s, z * s), half, tilt))


def mark_dysplasia(anatomy: Anatomy, side: Side):
    """The finding's mask covers socket and head."""
    s, bad = side.s, side.dysplasia
    if bad > 0:
        region = ball(side.point(HIP_AT + 9 * bad + 2, -10 - 12 * bad), (38 * s, (36 + 10 * bad) * s, 30 * s))
        anatomy.marks.append((DYSPLASIA, Solid(material="bone", within="soft", **region)))


def hip_joint(anatomy: Anatomy, side: Side, femur: dict[str, int | None], roof: int):
    s = side.s
    faces = [(number, 1) for number in (femur["head"], roof) if number is not None]
    centre = side.point(HIP_AT, -(HEAD + side.gap / 2) * 0.9)
    anatomy.joint("hip joint", centre, 26 * s, 24 * s, side.gap * s, faces, axis=(0.0, -1.0))


def torso(anatomy: Anatomy, middle: float, level: float, s: float, f: float, waist: float, girth: float):
    """Trunk and what closes the gap between the thighs; the thighs are added to them."""
    anatomy.flesh(
        [(middle, level - 260 * s, -4 * f), (middle, level - 110 * s, -4 * f), (middle, level + 70 * s, -6 * f)],
        [n * f * waist for n in (142, 140, 150, 172)] + [180 * f * girth],
        [n * f * waist for n in (74, 75, 80, 84, 80)],
        (0, 55 * f),
        skin=10 * f,
    )
    path = [(middle, level + 30 * s, -4 * f), (middle, level + 190 * s, 0)]
    anatomy.flesh(path, [60 * f, 55 * f, 40 * f], [66 * f, 56 * f, 36 * f], (50 * f, 60 * f), skin=8 * f)


def thigh(anatomy: Anatomy, middle: float, level: float, sign: int, s: float, f: float, girth: float, cleft: float):
    anatomy.flesh(
        [(middle + sign * 88 * f, level - 100 * s, -4 * f), (middle + sign * 90 * f, level + 240 * s, 0)],
        [n * f * girth for n in (70, 86, 88 - 2 * cleft, 84 - 4 * cleft, 77 - 5 * cleft)],
        [n * f * girth for n in (56, 68, 73, 71, 67)],
        (120 * f, 0),
        skin=10 * f,
    )


def build_pelvis(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = (s * flesh_scale(patient)) ** 0.5  # the pelvis itself makes up much of its girth
    anatomy = Anatomy(extent=(335 * s, 290 * s), energy=42)
    level = 48 * s
    lean, waist, girth = shape.offset(6.0) * s, shape.vary(0.04), shape.vary(0.04)
    cleft = shape.vary(0.15)
    torso(anatomy, 0.0, level, s, f, waist, girth)
    place = shape.findings[DYSPLASIA].place if DYSPLASIA in shape.findings else ""
    bad = shape.severity(DYSPLASIA)
    for name, sign in (("right", -1), ("left", 1)):
        side = draw_side(shape, f"{name} ", sign, 0.0, level, s, bad if place == f"{name} hip" else 0.0)
        thigh(anatomy, 0.0, level, sign, s, f, girth, cleft)
        innominate(anatomy, patient, side)
        proximal_femur(anatomy, patient, side)
        mark_dysplasia(anatomy, side)
    spine(anatomy, patient, 0.0, level, s, lean, vertebrae=3)
    bowel_gas(anatomy, shape, 0.0, level, s, count=9)
    return anatomy


def build_hip(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = (s * flesh_scale(patient)) ** 0.5
    anatomy = Anatomy(extent=(170 * s, 190 * s), energy=42)
    level = -6 * s + shape.offset(6.0) * s
    middle = (HIP_AT + 6) * s + shape.offset(5.0) * s
    girth = shape.vary(0.05)
    side = draw_side(shape, "", -1, middle, level, s, shape.severity(DYSPLASIA))
    torso(anatomy, middle, level, s, f, 1.0, girth)
    thigh(anatomy, middle, level, -1, s, f, girth, 1.0)
    # planes of fat about the joint's capsule: what an effusion pushes away
    for plane in (((118, -52, 20), (124, -18, 24), (116, 18, 22)), ((52, -6, 34), (66, 24, 34), (88, 60, 24))):
        anatomy.organ("fat", side.points(*plane), 3 * s, 14 * s, (9 * s, 9 * s))
    roof = innominate(anatomy, patient, side)
    femur = proximal_femur(anatomy, patient, side, length=150)
    spine(anatomy, patient, middle, level, s, 0.0, vertebrae=0)
    bowel_gas(anatomy, shape, middle, level, s, count=5)
    mark_dysplasia(anatomy, side)
    hip_joint(anatomy, side, femur, roof)
    anatomy.may_break("femoral neck", femur["neck"], 0.3, 0.85, physis=True)
    anatomy.may_break("proximal femur", femur["shaft"], 0.2, 0.37)
    return anatomy


PELVIS = BodyPart("pelvis", build_pelvis, (View("AP"),), sided=False)
# rolled onto the hip, as for Lauenstein's frog-leg lateral; the thigh is not flexed, a simplification
HIP = BodyPart(
    "hip",
    build_hip,
    (View("AP"), View("frog-leg lateral", turn=-50)),
    joints=("hip joint",),
    fractures=("femoral neck", "proximal femur"),
)
