"""The films of the spine: its stretches of the column with what lies round them. Measures are an adult man's in mm.

The column itself and the curve of a scoliosis are vertebrae.py's. The trunk, the lungs and the ribs follow a sideways
curve by half, as the chest of a child with scoliosis does.
"""

# Shapes: none; a point is (x, y, z)
from dataclasses import replace

import numpy as np

from ..growth import flesh_scale, mineral, ossification
from ..records import Patient
from .head import Head, head_flesh, head_scales, mandible, teeth
from .part import BodyPart, View
from .pelvis import bowel_gas, draw_side, innominate, proximal_femur
from .solids import Anatomy, Shape, ball
from .vertebrae import Vertebra, bones_of, column, spine_scale

HIP_BELOW = 105.0  # mm from the middle of the first sacral vertebra to the hips' centres
HIP_BEFORE = 40.0  # mm that the hips lie in front of it
FOLLOWS = 0.5  # share of a sideways curve that the trunk takes part in
AXIS_BEHIND = 42.0  # mm from the middle of the trunk back to the bodies of the vertebrae

# half-widths of the thorax at T1, T3, T6, T9, T12, to the outer side of the ribs
_THORAX_AT, _THORAX = (1, 3, 6, 9, 12), (52, 88, 118, 130, 118)


def _move(anatomy: Anatomy, vertebrae: list[Vertebra], x: float, y: float, z: float) -> None:
    """Shifts the column, and the outline of its scoliosis with it."""
    by = np.array((x, y, z))
    for one in vertebrae:
        one.centre = one.centre + by
    anatomy.marks[:] = [
        (name, replace(solid, path=tuple((a + x, b + y, c + z) for a, b, c in solid.path)))
        for name, solid in anatomy.marks
    ]


def _place(vertebrae: list[Vertebra], level: str) -> np.ndarray:
    return next(one.centre for one in vertebrae if one.level == level)


def _ribs(anatomy: Anatomy, shape: Shape, vertebrae: list[Vertebra], t: float, hard: float) -> None:
    """Each rib from its vertebra round to the cartilage; the last two are short."""
    droop, broad, thick = shape.vary(0.08), shape.vary(0.04), shape.vary(0.08)
    for one in vertebrae:
        if one.level[0] != "T":
            continue
        number = int(one.level[1:])
        r = float(np.interp(number, _THORAX_AT, _THORAX)) * t * broad
        middle, y, z = FOLLOWS * one.centre[0], one.centre[1], one.centre[2] - 8 * t
        fall = float(np.interp(number, (1, 4, 12), (22, 48, 52))) * t * droop
        reach = float(np.interp(number, (1, 5, 8), (52, 108, 112))) * t
        for side in (-1, 1):
            root = one.at(side * 0.9 * one.half_width, -0.42 * one.height, -0.8 * one.half_depth)
            angle = one.at(side * 0.52 * r, -0.25 * one.height, -one.half_depth - 26 * t)
            points = [root, angle, (middle + side * 0.93 * r, y + 0.35 * fall, z + 6 * t)]
            if number < 11:
                points += [
                    (middle + side * 0.97 * r, y + 0.75 * fall, z + 0.5 * reach),
                    (middle + side * 0.72 * r, y + 1.15 * fall, z + 0.92 * reach),
                ]
            elif number == 12:
                points[2] = (middle + side * 0.72 * r, y + 0.6 * fall, z - 10 * t)
            anatomy.bone(
                one.level.replace("T", "rib "), points, [4.2 * t * thick, 5 * t * thick, 5.6 * t * thick, 5.6 * t * thick],
                3.6 * t * thick, 1.1 * t, (3 * t, 3 * t), 0.75 * hard,
            )  # fmt: skip


def _thorax(anatomy: Anatomy, shape: Shape, vertebrae: list[Vertebra], t: float) -> None:
    """Lungs with the heart and the diaphragm between them, and the windpipe. Starts at T1, ends at T10."""
    top, mid, low = (_place(vertebrae, level) for level in ("T1", "T6", "T10"))
    front = (AXIS_BEHIND - 16) * t
    air, heart, dome = shape.vary(0.04), shape.vary(0.06), shape.offset(6.0) * t
    for side in (-1, 1):
        x = [FOLLOWS * one[0] for one in (top, mid, low)]
        path = [
            (x[0] + side * 38 * t, top[1] - 12 * t, top[2] + 0.4 * front),
            (x[1] + side * 68 * t, mid[1], mid[2] + 0.9 * front),
            (x[2] + side * 77 * t, low[1] + 24 * t, low[2] + front),
        ]
        anatomy.organ(
            "lung", path, [n * t * air for n in (20, 34, 42, 46, 46)], [n * t * air for n in (28, 58, 78, 86, 84)],
            (32 * t, 3 * t),
        )  # fmt: skip
        cupola = (x[2] + side * 70 * t, low[1] + 28 * t + dome * side, low[2] + 1.1 * front)
        anatomy.organ("soft", **ball(cupola, (56 * t, 30 * t, 78 * t)), within="lung")
    centre = (FOLLOWS * mid[0] + 34 * t, mid[1] + 52 * t, mid[2] + 62 * t)
    anatomy.organ("soft", **ball(centre, (48 * t * heart, 52 * t * heart, 44 * t), 32), within="lung", share=0.8)
    start = (0.8 * top[0], top[1] - 45 * t, top[2] + 24 * t)
    end = (FOLLOWS * mid[0] + 0.2 * mid[0], mid[1] - 26 * t, mid[2] + 36 * t)
    anatomy.organ("air", [start, end], 8 * t, 8 * t, (0, 4 * t))


def _trunk(anatomy: Anatomy, points: list[np.ndarray], t: float, f: float, wide: list[float], deep: list[float]) -> None:
    """A trunk along half of the column's curve; `wide` and `deep` are half-measures at equal steps."""
    path = [(FOLLOWS * x, y, z + AXIS_BEHIND * 0.5 * (t + f)) for x, y, z in points]
    anatomy.flesh(path, [n * f for n in wide], [n * f for n in deep], skin=9 * f)


def _neck_and_shoulders(anatomy: Anatomy, shape: Shape, vertebrae: list[Vertebra], t: float, f: float, high: float) -> None:
    """A neck `high` mm above T1, and the shoulders with the clavicles; `f` is the scale of soft tissue."""
    hard = mineral(shape.patient)
    x, y, z = _place(vertebrae, "T1")
    girth, lift = shape.vary(0.05), shape.offset(5.0) * t
    anatomy.flesh([(x, y - high * t, z + 14 * t), (x, y + 35 * t, z + 16 * t)], [54 * f * girth, 55 * f * girth, 74 * f * girth],
                  [54 * f, 56 * f, 62 * f], skin=6 * f)  # fmt: skip
    anatomy.flesh([(x, y - 8 * t, z + 14 * t), (x, y + 40 * t, z + 18 * t), (x, y + 130 * t, z + 26 * t)],
                  [70 * f, 120 * f, 165 * f, 180 * f, 184 * f, 182 * f], [48 * f, 62 * f, 72 * f, 78 * f, 82 * f],
                  (18 * f, 0), skin=8 * f)  # fmt: skip
    for side in (-1, 1):
        anatomy.bone(
            "clavicle",
            [(x + side * 14 * t, y + 38 * t, z + 62 * t), (x + side * 60 * t, y + 24 * t + lift, z + 58 * t),
             (x + side * 142 * t, y + 10 * t + lift, z + 8 * t)],
            [9 * t, 6 * t, 5.5 * t, 6 * t, 8 * t], 6 * t, 1.9 * t, (4 * t, 3 * t), hard,
        )  # fmt: skip


def _sacrum(anatomy: Anatomy, one: Vertebra, t: float, patient: Patient) -> None:
    """Five vertebrae fused in a curve backwards, with their foramina; the discs between them close in adolescence."""
    hard = mineral(patient)
    gap = float(1 - 0.8 * ossification(patient, 0, 18))
    rows = ((0, 0, 52, 14), (27, -10, 45, 12), (50, -15, 36, 10.5), (69, -14, 28, 9), (84, -8, 21, 8))
    for y, z, wide, tall in rows:
        tall_mm = tall * t * (1 - 0.14 * gap)
        anatomy.bone(
            "sacrum",
            [one.at(-wide * t, (y - 3) * t, (z - 10) * t), one.at(0, y * t, z * t), one.at(wide * t, (y - 3) * t, (z - 10) * t)],
            [tall_mm * n for n in (1.1, 1.1, 0.5, 0.95, 0.95, 0.95, 0.5, 1.1, 1.1)],
            [tall_mm * n for n in (0.8, 0.9, 0.9, 1.0, 1.05, 1.0, 0.9, 0.9, 0.8)],
            1.5 * t, (6 * t, 6 * t), 0.85 * hard,
        )  # fmt: skip
    crest = [one.at(0, 6 * t, -30 * t), one.at(0, 45 * t, -36 * t), one.at(0, 82 * t, -20 * t)]
    anatomy.bone("sacrum", crest, 3 * t, [6 * t, 5 * t, 3 * t], 1.2 * t, (3 * t, 3 * t), 0.8 * hard)
    anatomy.bone("coccyx", [one.at(0, 96 * t, -4 * t), one.at(0, 118 * t, 8 * t)], [8 * t, 4 * t], 4.5 * t, 0.9 * t,
                 (2 * t, 3 * t), 0.7 * hard)  # fmt: skip


def _pelvis(anatomy: Anatomy, shape: Shape, sacral: Vertebra, t: float, gas: int, femora: bool) -> None:
    """Sacrum, hip bones and bowel gas below and before the column. Hips are drawn in their own frame and then moved."""
    patient = shape.patient
    x, y, z = sacral.centre
    level = float(y) + HIP_BELOW * t
    first = len(anatomy.solids)
    for name, sign in (("right ", -1), ("left ", 1)):
        side = draw_side(shape, name, sign, float(x), level, t, 0.0)
        innominate(anatomy, patient, side)
        if femora:
            proximal_femur(anatomy, patient, side, length=80)
    bowel_gas(anatomy, shape, float(x), level, t, count=gas)
    ahead = float(z) + HIP_BEFORE * t
    for solid in anatomy.solids[first:]:
        solid.path = tuple((a, b, c + ahead) for a, b, c in solid.path)
    _sacrum(anatomy, sacral, t, patient)


def _psoas(anatomy: Anatomy, shape: Shape, vertebrae: list[Vertebra], t: float) -> None:
    """The stripes of fat beside the psoas muscles."""
    broad, clear = shape.vary(0.08), shape.vary(0.3)
    one, two, three = (_place(vertebrae, level) for level in ("L1", "L3", "S1"))
    for side in (-1, 1):
        path = [
            (one[0] + side * 27 * t * broad, one[1], one[2] - 4 * t),
            (two[0] + side * 48 * t * broad, two[1], two[2] - 4 * t),
            (three[0] + side * 72 * t * broad, three[1], three[2] + 14 * t),
        ]
        anatomy.organ("fat", path, 2.2 * t, 24 * t * clear, (4 * t, 4 * t))


def _scales(shape: Shape) -> tuple[float, float]:
    """Of lengths, and of the trunk's girth, which bone and bowel fill for the most part."""
    t = spine_scale(shape.patient) * shape.vary(0.025)
    return t, (t * flesh_scale(shape.patient)) ** 0.5 * shape.vary(0.04)


def build_cervical_spine(shape: Shape) -> Anatomy:
    patient = shape.patient
    t, f = _scales(shape)
    anatomy = Anatomy(extent=(150 * t, 196 * t), energy=46)
    hard = mineral(patient)
    vertebrae = column(anatomy, shape, "C1", "T3", t)
    _move(anatomy, vertebrae, 0.0, 6 * t, -8 * t)
    c, g = head_scales(patient)
    atlas, nod = vertebrae[0].centre, shape.offset(2.0)
    head = Head(c, g, patient.age_months / 12, hard, 0.0, 0.0)
    at = head.skull(0, 46, -32)
    head = replace(head, down=float(atlas[1] - 6 * t - at[1]), front=float(atlas[2] - at[2]))
    wide, angle, early = shape.vary(0.04), shape.offset(2.0), shape.offset(5.0)
    slim = (f + t) / 2
    head_flesh(anatomy, shape, head, 0.95 * slim)
    _neck_and_shoulders(anatomy, shape, vertebrae, t, 0.9 * slim, 60)
    # the back of the skull, its base, and the mastoids: what the film shows of the head
    anatomy.bone("skull", [head.skull(0, -40, -12), head.skull(0, 8, -18), head.skull(0, 40, -36)],
                 [74 * c, 73 * c, 69 * c, 56 * c], [92 * c, 90 * c, 80 * c, 54 * c], 2.2 * c, (0, 20 * c), 0.8 * hard)  # fmt: skip
    anatomy.organ("soft", [head.skull(0, -40, -12), head.skull(0, 8, -18), head.skull(0, 39, -36)],
                  [n * c for n in (71, 70, 66, 52)], [n * c for n in (89, 87, 77, 50)], (0, 19 * c), "marrow")  # fmt: skip
    anatomy.bone("skull", [head.skull(0, 20 + nod, -14), head.skull(0, 38, -30)], 12 * c, 4 * c, 1.2 * c, (2 * c, 2 * c), hard)
    for side in (-1, 1):
        anatomy.bone("skull", **ball(head.skull(side * 54, 36, -32), (9 * c, 15 * c, 12 * c)), cortex=1.6 * c, mineral=0.7 * hard)
    anatomy.bone("maxilla", [head.visage(0, 52, 44), head.visage(0, 68, 48)], 28 * g * wide, 24 * g, 1.6 * g, (3 * g, 5 * g), 0.7 * hard)
    anatomy.organ("air", **ball(head.visage(0, 46, 44), (14 * g, 12 * g, 26 * g)), within="marrow")
    mandible(anatomy, head, wide, angle)
    teeth(anatomy, patient, head, wide, early)
    bones_of(anatomy, patient, vertebrae, t)
    _ribs(anatomy, shape, vertebrae, t, hard)
    low = _place(vertebrae, "T1")
    anatomy.bone("hyoid", [head.visage(-14, 112, 30), head.visage(0, 112, 46), head.visage(14, 112, 30)], 3 * g, 2.6 * g,
                 1 * g, (2 * g, 2 * g), 0.6 * hard * ossification(patient, -0.5, 3))  # fmt: skip
    windpipe = [(float(x), float(y), float(z) + 25 * t) for x, y, z in (_place(vertebrae, "C4"), _place(vertebrae, "C7"))]
    anatomy.organ("air", [*windpipe, (float(low[0]), float(low[1]) + 60 * t, float(low[2]) + 26 * t)],
                  [5 * t, 5 * t, 7 * t, 7.5 * t, 7.5 * t], 7 * t, (3 * t, 0))  # fmt: skip
    for side in (-1, 1):
        anatomy.organ("lung", **ball((low[0] + side * 42 * t, low[1] + 62 * t, low[2] + 10 * t), (34 * t, 68 * t, 46 * t), side * -8.0))
    return anatomy


def build_thoracic_spine(shape: Shape) -> Anatomy:
    t, f = _scales(shape)
    anatomy = Anatomy(extent=(250 * t, 330 * t), energy=50)
    vertebrae = column(anatomy, shape, "C6", "L2", t, ("T7", "T8", "T9", "T10"))
    _move(anatomy, vertebrae, 0.0, 2 * t, 0.0)
    shares = [_place(vertebrae, level) for level in ("T2", "T7", "L2")]
    girth = shape.vary(0.04)
    shares[2] = shares[2] + np.array((0, 60 * t, 0))
    _trunk(anatomy, shares, t, f * girth, [118, 134, 142, 142, 138], [82, 98, 108, 106, 98])
    _neck_and_shoulders(anatomy, shape, vertebrae, t, 0.96 * f, 80)
    _thorax(anatomy, shape, vertebrae, t)
    bones_of(anatomy, shape.patient, vertebrae, t, facets=False)
    _ribs(anatomy, shape, vertebrae, t, mineral(shape.patient))
    return anatomy


def build_lumbar_spine(shape: Shape) -> Anatomy:
    t, f = _scales(shape)
    anatomy = Anatomy(extent=(230 * t, 290 * t), energy=48)
    vertebrae = column(anatomy, shape, "T10", "S1", t, ("L1", "L2", "L3"))
    _move(anatomy, vertebrae, 0.0, -28 * t, -20 * t)
    ends = [_place(vertebrae, level) for level in ("T10", "L3", "S1")]
    ends[0], ends[2] = ends[0] - np.array((0, 40 * t, 0)), ends[2] + np.array((0, 130 * t, 12 * t))
    girth = shape.vary(0.05)
    _trunk(anatomy, ends, t, f * girth, [140, 138, 134, 146, 166], [98, 94, 88, 90, 94])
    _psoas(anatomy, shape, vertebrae, t)
    _pelvis(anatomy, shape, vertebrae[-1], t, gas=7, femora=False)
    bones_of(anatomy, shape.patient, vertebrae, t)
    _ribs(anatomy, shape, vertebrae, t, mineral(shape.patient))
    return anatomy


def build_whole_spine(shape: Shape) -> Anatomy:
    t, f = _scales(shape)
    anatomy = Anatomy(extent=(340 * t, 690 * t), energy=52)
    vertebrae = column(anatomy, shape, "C4", "S1", t, ("T7", "T8", "T9", "T10", "T12", "L1", "L2"))
    _move(anatomy, vertebrae, 0.0, -58 * t, -20 * t)
    points = [_place(vertebrae, level) for level in ("T2", "T8", "L3")]
    points.append(vertebrae[-1].centre + np.array((vertebrae[-1].centre[0], 190 * t, 20 * t)))
    girth = shape.vary(0.04)
    _trunk(anatomy, points, t, f * girth, [118, 134, 142, 140, 134, 150, 168, 170], [82, 98, 106, 100, 90, 90, 94, 90])
    _neck_and_shoulders(anatomy, shape, vertebrae, t, 0.96 * f, 140)
    _thorax(anatomy, shape, vertebrae, t)
    _pelvis(anatomy, shape, vertebrae[-1], t, gas=6, femora=True)
    bones_of(anatomy, shape.patient, vertebrae, t, facets=False, rings=False)
    _ribs(anatomy, shape, vertebrae, t, mineral(shape.patient))
    return anatomy


_VIEWS = (View("AP"), View("lateral", turn=90))
CERVICAL_SPINE = BodyPart("cervical_spine", build_cervical_spine, _VIEWS, sided=False)
THORACIC_SPINE = BodyPart("thoracic_spine", build_thoracic_spine, _VIEWS, sided=False)
LUMBAR_SPINE = BodyPart("lumbar_spine", build_lumbar_spine, _VIEWS, sided=False)
WHOLE_SPINE = BodyPart("whole_spine", build_whole_spine, _VIEWS, sided=False)
