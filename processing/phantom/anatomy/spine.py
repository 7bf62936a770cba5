"""The spine on its four films. Measures are an adult man's in mm, rounded from anatomy textbooks, and scaled."""

import numpy as np

from ..growth import flesh_scale, mineral
from ..records import Patient
from .head import Head, head_scales, mandible
from .part import BodyPart, View
from .solids import Anatomy, Point, Shape, Solid, ball
from .vertebrae import Vertebra, bones_of, column, spine_scale

_VIEWS = (View("AP"), View("lateral", turn=90))


def _by_level(vertebrae: list[Vertebra]) -> dict[str, Vertebra]:
    return {one.level: one for one in vertebrae}


def _girth(patient: Patient) -> float:
    """Width of the trunk as a share of an adult's."""
    return 0.5 * (flesh_scale(patient) + spine_scale(patient))


# ---- parts that several films share


def _trunk(anatomy: Anatomy, path: list[Point], width: list[float], depth: list[float], caps, skin: float, share=0.5):
    """Flesh, of which `share` absorbs nothing: a film's grid and tone curve take that much of so thick a part out."""
    anatomy.flesh(path, width, depth, caps, skin)
    anatomy.organ("air", path, width, depth, (2.8 * caps[0], caps[1]), share=share)


def _sacrum(anatomy: Anatomy, first: Vertebra, scale: float, hard: float, bend: float) -> None:
    """One wedge from the promontory on, hollow towards the front, and the wings beside its first part."""
    t = scale
    x, y, z = first.at(0, -first.height / 2, 0)
    lean = first.down[0] / first.down[1]
    path = [
        (x + lean * a * t, y + a * t, z + b * t)
        for a, b in ((0, 0), (26, -24 * bend), (55, -40 * bend), (86, -34 * bend))
    ]
    anatomy.bone("sacrum", path, [50 * t, 47 * t, 41 * t, 32 * t, 24 * t, 14 * t], [16 * t, 14 * t, 11 * t, 9 * t,
                 7 * t], 1.4 * t, (2 * t, 4 * t), 0.75 * hard)  # fmt: skip
    anatomy.bone("sacrum", [first.at(0, -0.5 * first.height, 0), first.at(0, 0.5 * first.height, 0)],
                 [0.95 * first.half_width, 0.8 * first.half_width], [first.half_depth, 0.8 * first.half_depth],
                 1.3 * t, (0.06 * first.height, 0.0), 0.45 * hard)  # fmt: skip
    for place, row in ((0.33, 20), (0.6, 18), (0.85, 15)):  # foramina
        at = [np.interp(place, (0, 1 / 3, 2 / 3, 1), [point[axis] for point in path]) for axis in range(3)]
        for side in (-1, 1):
            anatomy.organ(
                "soft",
                **ball((at[0] + side * row * t, at[1] - 8 * t, at[2]), (4 * t, 3.2 * t, 9 * t)),
                within="bone",
                share=0.35,
            )


def _rib(
    anatomy: Anatomy, one: Vertebra, number: int, wide: float, deep: float, scale: float, hard: float, arcs: bool
):
    """The back of a pair of ribs, seen from the front; `arcs`: and its side, seen from the side."""
    out = float(np.interp(number, (1, 2, 4, 8, 10, 11, 12), (0.44, 0.62, 0.86, 1.0, 1.0, 0.86, 0.52))) * wide
    fall = float(np.interp(number, (1, 6, 10, 12), (8, 24, 40, 44))) * scale
    head, neck = one.at(0, 0, 0), 0.9 * one.half_width
    for side in (-1, 1):
        # a turned vertebra takes its ribs along
        root = one.at(side * neck, -0.42 * one.height, -0.8 * one.half_depth)
        back = one.at(side * out, 0, 0)[2] - head[2]
        # the wall of the chest follows a crooked spine only in part
        x, y, z = 0.3 * head[0] + side * out, root[1] + fall, head[2] + 0.4 * back
        far = (x, y, z - 0.1 * deep)
        bent = (0.55 * head[0] + side * 0.62 * out, root[1] + 0.36 * fall - 4 * scale, z - 0.5 * deep)
        anatomy.bone("rib", [root, bent, far], [3.4 * scale, 5 * scale, 5.4 * scale], [3 * scale, 3.4 * scale,
                     3.6 * scale], 1.2 * scale, (2 * scale, 1 * scale), 0.8 * hard)  # fmt: skip
        if arcs:
            front = (x - side * 0.12 * out, y + fall * 1.25, head[2] + (1.3 if number < 9 else 0.6) * deep)
            anatomy.bone("rib", [(x, root[1] + 0.4 * fall, head[2] - 0.35 * deep),
                         (x, y + 0.45 * fall, head[2] + 0.4 * deep), front], [5.2 * scale, 5 * scale], [3.2 * scale,
                         3.2 * scale], 1.0 * scale, (2 * scale, 2 * scale), 0.5 * hard)  # fmt: skip


def _lungs(
    anatomy: Anatomy,
    top: float,
    base: float,
    wide: float,
    deep: float,
    middle: float,
    heart: float,
    lift: float,
    share: float,
):
    """Two lungs on the diaphragm's domes, the heart, the windpipe. `middle` is z."""
    high = base - top
    for side in (-1, 1):
        first, last = (side * 0.36 * wide, top, middle - 0.3 * deep), (side * 0.53 * wide, base, middle - 0.18 * deep)
        path = [first, (side * 0.5 * wide, top + 0.5 * high, middle - 0.2 * deep), last]
        anatomy.organ("lung", path, [0.2 * wide, 0.3 * wide, 0.36 * wide, 0.4 * wide, 0.41 * wide], [0.34 * deep,
                      0.56 * deep, 0.68 * deep, 0.74 * deep, 0.74 * deep], (0.3 * high, 0.0),
                      share=share)  # fmt: skip
        rise = (lift if side < 0 else 0.7 * lift) / high + 0.06
        x, y, z = (b + (a - b) * rise for a, b in zip(first, last, strict=True))  # it ends with the lung
        anatomy.organ("soft", [(x, y, z), last], 0.42 * wide, 0.75 * deep, (0.8 * rise * high, 0.0), "lung", share)
    y = base - 0.3 * high
    anatomy.organ("soft", [(-0.05 * wide, y - 0.26 * high, middle + 0.2 * deep),
                  (0.3 * wide, y + 0.12 * high, middle + 0.3 * deep)], [0.2 * wide * heart, 0.3 * wide * heart,
                  0.3 * wide * heart], 0.3 * deep * heart, (0.2 * high, 0.2 * wide), "lung", share)  # fmt: skip


def _ilia(anatomy: Anatomy, centre: Point, scale: float, hard: float, flare: float, low: bool) -> None:
    """The wings beside the sacrum; `low`: with the acetabula, the pubis and the femoral heads."""
    t, (x, y, z) = scale, centre
    for side in (-1, 1):
        wing = [(x + side * 108 * flare * t, y - 42 * t, z + 16 * t),
                (x + side * 92 * flare * t, y + 4 * t, z + 4 * t),
                (x + side * 76 * t, y + 62 * t, z + 8 * t)]  # fmt: skip
        anatomy.bone("ilium", wing, [8 * t, 34 * t, 44 * t, 36 * t, 22 * t], [5 * t, 7 * t, 8 * t, 12 * t, 17 * t],
                     1.6 * t, (12 * t, 8 * t), 0.7 * hard)  # fmt: skip
        crest = [(x + side * 44 * t, y - 28 * t, z - 46 * t), (x + side * 84 * flare * t, y - 53 * t, z - 8 * t),
                 (x + side * 118 * flare * t, y - 28 * t, z + 52 * t)]  # fmt: skip
        anatomy.bone("ilium", crest, 4.2 * t, 5 * t, 1.4 * t, (4 * t, 4 * t), 0.7 * hard)
        if low:
            hip = (x + side * 86 * t, y + 84 * t, z + 8 * t)
            anatomy.bone("femur", **ball(hip, (23 * t, 23 * t, 23 * t)), cortex=1.4 * t, mineral=0.8 * hard)
            anatomy.bone("pubis", [(x + side * 62 * t, y + 88 * t, z + 24 * t),
                         (x + side * 5 * t, y + 112 * t, z + 44 * t)], [13 * t, 7 * t, 12 * t], [10 * t, 6 * t, 8 * t],
                         1.4 * t, (4 * t, 2 * t), 0.8 * hard)  # fmt: skip
            anatomy.bone("ischium", [(x + side * 62 * t, y + 92 * t, z - 10 * t),
                         (x + side * 54 * t, y + 138 * t, z - 8 * t)], [14 * t, 9 * t, 13 * t], [14 * t, 11 * t,
                         12 * t], 1.5 * t, (4 * t, 8 * t), 0.8 * hard)  # fmt: skip


def _bowel(
    anatomy: Anatomy, shape: Shape, box: tuple[float, float, float], centre: Point, size: float, count: int
) -> None:
    """Gas in the bowel: half-lengths of the region it is scattered in."""
    for _ in range(count):
        x, y, z = (shape.random.uniform(-1, 1) * half + at for half, at in zip(box, centre, strict=True))
        a, b, c = (size * shape.random.uniform(0.5, 1.25) for _ in range(3))
        anatomy.organ("air", **ball((x, y, z), (a, b, c), shape.random.uniform(-60, 60)), share=0.8)


# ---- the films


def build_cervical_spine(shape: Shape) -> Anatomy:
    patient = shape.patient
    t = spine_scale(patient) * shape.vary(0.03)
    c, g = head_scales(patient)
    c, g, full = c * shape.vary(0.02), g * shape.vary(0.03), shape.vary(0.06)
    wide, angle, chin = shape.vary(0.04), shape.offset(2.0), shape.offset(5.0)
    hard, f = mineral(patient), _girth(patient) * full
    anatomy = Anatomy(extent=(0.5 * (190 * t + 160 * c), 205 * t), energy=44)
    vertebrae = column(anatomy, shape, "C1", "T3", t, at=(0, 12 * t, -14 * t))
    level = _by_level(vertebrae)
    atlas, low = level["C1"].centre, level["C7"].centre
    head = Head(c, g, patient.age_months / 12, hard, float(atlas[1]) - 52 * c, float(atlas[2]) + 32 * c)

    # neck, shoulders, and the lower half of the head
    nape = float(low[2]) + 4 * t
    anatomy.flesh([(0, float(atlas[1]) - 50 * t, float(atlas[2]) + 2 * t), (0, float(low[1]) - 20 * t, nape),
                  (0, float(low[1]) + 80 * t, nape + 4 * t)], [60 * f, 58 * f, 57 * f, 84 * f, 150 * f], [72 * f,
                  62 * f, 56 * f, 66 * f, 84 * f], skin=5 * f)  # fmt: skip
    anatomy.flesh(
        [head.skull(0, -60, -14), head.skull(0, 0, -14), head.skull(0, 44, -18)],
        [74 * c, 76 * c, 72 * c],
        93 * c,
        (0, 34 * c),
        3 * c,
    )
    anatomy.flesh([head.visage(0, 20, 34), head.visage(0, 90, 30 + 0.3 * chin), head.visage(0, 120, 40)], [66 * g,
                  62 * g, 52 * g, 34 * g], [58 * g, 56 * g, 44 * g, 26 * g], (10 * g, 16 * g), 4 * g)  # fmt: skip
    airway = [head.visage(0, 30, 12), level["C3"].at(0, 0, 15 * t), level["C5"].at(0, 0, 19 * t),
              level["C7"].at(0, 0, 25 * t), level["T3"].at(0, 0, 30 * t)]  # fmt: skip
    anatomy.organ("air", airway, [12 * t, 11 * t, 9 * t, 5 * t, 8.5 * t, 8.5 * t, 8.5 * t], [6 * t, 7 * t, 9 * t,
                  7 * t, 8 * t, 8 * t, 8 * t], (6 * t, 0))  # fmt: skip
    lung = level["T3"].centre
    for side in (-1, 1):
        anatomy.organ("lung", **ball((side * 50 * t, float(lung[1]) + 14 * t, nape + 6 * t), (36 * t, 46 * t, 42 * t)))
        for number, name in ((1, "T1"), (2, "T2")):
            root = level[name].at(side * 17 * t, -4 * t, -8 * t)
            out = (side * (46 + 14 * number) * t, root[1] + (2 + 6 * number) * t, root[2] - 12 * t)
            anatomy.bone("rib", [root, (0.5 * (root[0] + out[0]), root[1] - 2 * t, root[2] - 16 * t), out], [4 * t,
                         5.5 * t, 6 * t], 3 * t, 1.1 * t, (2 * t, 3 * t), 0.7 * hard)  # fmt: skip
        anatomy.bone("clavicle", [(side * 14 * t, float(lung[1]) + 8 * t, nape + 46 * t),
                     (side * 70 * t, float(lung[1]) - 6 * t, nape + 34 * t),
                     (side * 130 * t, float(lung[1]) - 18 * t, nape - 4 * t)], [9 * t, 6 * t, 6 * t, 8 * t], [7 * t,
                     5 * t, 5 * t], 1.8 * t, (3 * t, 2 * t), 0.9 * hard)  # fmt: skip

    bones_of(anatomy, patient, vertebrae, t)
    mandible(anatomy, head, wide, angle)
    back = Solid((head.skull(0, -60, -20), head.skull(0, -10, -16), head.skull(0, 38, -34)), [73 * c, 70 * c, 60 * c],
                 [90 * c, 91 * c, 70 * c], (0.0, 30 * c), "bone", "soft", [4 * c, 3 * c, 1.4 * c],
                 "soft")  # fmt: skip
    back.mineral, back.bone, back.end_cortex = 0.85 * hard, "skull", 0.6 * c
    anatomy.add(back)
    anatomy.bone("skull", [head.skull(0, 34, -36), head.skull(0, 40, -62), head.skull(0, 28, -86)], 34 * c, 2.2 * c,
                 1.2 * c, (2 * c, 2 * c), 0.7 * hard)  # fmt: skip
    anatomy.bone("skull", [head.visage(0, 58, 16), head.visage(0, 57, 44), head.visage(0, 59, 74)], 22 * g, 2.2 * g,
                 1.2 * g, (2 * g, 2 * g), 0.7 * hard)  # fmt: skip
    for edge in (74, 87):  # the two rows of teeth as a band each
        for side in (-1, 1):
            anatomy.bone("teeth", [head.visage(side * 33, edge, 30), head.visage(side * 25, edge, 54),
                         head.visage(0, edge, 68)], 6.5 * g, 4 * g, 1.2 * g, (2 * g, 0),
                         hard * min(patient.age_months / 18, 1))  # fmt: skip
    hyoid = level["C4"].at(0, -4 * t, 36 * t)
    anatomy.bone("hyoid", **ball(hyoid, (16 * t, 3.4 * t, 5 * t)), cortex=1 * t, mineral=0.7 * hard)
    return anatomy


def build_thoracic_spine(shape: Shape) -> Anatomy:
    patient = shape.patient
    t = spine_scale(patient) * shape.vary(0.03)
    f, hard = _girth(patient), mineral(patient)
    wide, deep, heart, lift = (
        128 * f * shape.vary(0.05),
        92 * f * shape.vary(0.05),
        shape.vary(0.07),
        26 * t * shape.vary(0.2),
    )
    anatomy = Anatomy(extent=(250 * t, 318 * t), energy=50)
    vertebrae = column(anatomy, shape, "C7", "L1", t, apexes=("T7", "T8", "T9"), at=(0, 0, -34 * f))
    level = _by_level(vertebrae)
    middle = 8 * f
    _trunk(anatomy, [(0, -200 * t, middle - 10 * f), (0, -60 * t, middle), (0, 80 * t, middle + 4 * f),
           (0, 220 * t, middle + 2 * f)], [1.34 * wide, 1.3 * wide, 1.2 * wide, 1.14 * wide, 1.1 * wide], [0.95 * deep,
           1.2 * deep, 1.28 * deep, 1.26 * deep, 1.16 * deep], (0, 0), 8 * f)  # fmt: skip
    base = float(level["T11"].centre[1])
    _lungs(anatomy, float(level["T2"].centre[1]) - 14 * t, base + 14 * t, wide, deep, middle, heart, lift, 0.62)
    top = float(level["C7"].centre[1])
    anatomy.organ(
        "air",
        [(0, top - 30 * t, middle), level["T2"].at(2 * t, 0, 30 * t), level["T5"].at(4 * t, 0, 30 * t)],
        8.5 * t,
        8 * t,
        (0, 4 * t),
    )
    bones_of(anatomy, patient, vertebrae, t, facets=False, dense=1.2)
    for number in range(1, 13):
        _rib(anatomy, level[f"T{number}"], number, wide, 0.62 * deep, t, hard, arcs=number in (4, 6, 8, 10))
    for side in (-1, 1):
        anatomy.bone("clavicle", [(side * 16 * t, top + 44 * t, middle + 0.8 * deep),
                     (side * 80 * t, top + 26 * t, middle + 0.6 * deep), (side * 150 * t, top + 12 * t, middle)],
                     [9 * t, 6 * t, 6 * t, 8 * t], [7 * t, 5 * t, 5 * t], 1.8 * t, (3 * t, 2 * t),
                     0.8 * hard)  # fmt: skip
    return anatomy


def build_lumbar_spine(shape: Shape) -> Anatomy:
    patient = shape.patient
    t = spine_scale(patient) * shape.vary(0.03)
    f, hard = _girth(patient), mineral(patient)
    wide, deep, flare, bend = (
        150 * f * shape.vary(0.06),
        108 * f * shape.vary(0.06),
        shape.vary(0.05),
        shape.vary(0.12),
    )
    psoas, curve = shape.vary(0.1), float(np.interp(patient.age_months, (0, 24, 120), (0.35, 0.7, 1.0)))
    anatomy = Anatomy(extent=(225 * t, 292 * t), energy=50)
    vertebrae = column(anatomy, shape, "T11", "S1", t, apexes=("L1", "L2"), at=(0, -22 * t, -26 * f))
    level = _by_level(vertebrae)
    _trunk(anatomy, [(0, -180 * t, 14 * f), (0, 0, 16 * f), (0, 180 * t, 6 * f)], [0.96 * wide, 0.93 * wide,
           0.92 * wide, 1.04 * wide, 1.12 * wide], [deep, deep], (0, 0), 12 * f)  # fmt: skip
    for side in (-1, 1):
        # the fat beside the psoas shows its edge
        points = [level["T12"].at(side * 27 * t, 8 * t, 4 * t), level["L3"].at(side * 47 * t * psoas, 0, 6 * t),
                  level["S1"].at(side * 74 * t * psoas, 0, 24 * t)]  # fmt: skip
        anatomy.organ(
            "fat", points, [1.2 * t, 2.4 * t, 2.8 * t, 2 * t], [14 * t, 30 * t, 34 * t, 26 * t], (8 * t, 8 * t)
        )
        dome = float(level["T11"].centre[1]) - 8 * t
        anatomy.organ("lung", [(side * 0.52 * wide, dome - 90 * t, 6 * f),
                      (side * 0.6 * wide, dome + 12 * t, -18 * f)], [0.38 * wide, 0.36 * wide, 0.25 * wide],
                      [0.7 * deep, 0.55 * deep, 0.3 * deep], (0, 30 * t))  # fmt: skip
    _bowel(anatomy, shape, (0.66 * wide, 88 * t, 0.2 * deep), (0, 16 * t, 0.5 * deep), 17 * t, 9)
    bones_of(anatomy, patient, vertebrae, t)
    for number in (11, 12):
        _rib(anatomy, level[f"T{number}"], number, 0.82 * wide, 0.5 * deep, t, hard, arcs=False)
    sacral = level["S1"]
    _sacrum(anatomy, sacral, t, hard, curve * bend)
    x, y, z = sacral.at(0, 0, 0)
    _ilia(anatomy, (x, y + 8 * t, z + 4 * t), t, hard, flare, low=False)
    return anatomy


def build_whole_spine(shape: Shape) -> Anatomy:
    patient = shape.patient
    t = spine_scale(patient) * shape.vary(0.03)
    f, hard = _girth(patient), mineral(patient)
    c, g = head_scales(patient)
    wide, deep, heart, lift = (
        128 * f * shape.vary(0.05),
        92 * f * shape.vary(0.05),
        shape.vary(0.07),
        26 * t * shape.vary(0.2),
    )
    flare, bend, full = shape.vary(0.05), shape.vary(0.12), shape.vary(0.05)
    curve = float(np.interp(patient.age_months, (0, 24, 120), (0.35, 0.7, 1.0)))
    anatomy = Anatomy(extent=(330 * t, 765 * t), energy=46)
    vertebrae = column(
        anatomy, shape, "C2", "S1", t, apexes=("T7", "T8", "T9", "T12", "L1", "L2"), at=(0, -76 * t, -24 * f)
    )
    level = _by_level(vertebrae)
    middle = float(level["T8"].centre[2]) + 44 * f
    top, base, hip = (float(level[name].centre[1]) for name in ("C6", "T11", "S1"))
    head_base = float(level["C2"].centre[1]) - 26 * t
    # trunk and thighs, shoulders, neck and head
    _trunk(anatomy, [(0, top + 30 * t, middle - 8 * f), (0, base, middle), (0, hip, middle - 14 * f),
           (0, hip + 260 * t, middle - 24 * f)], [1.0 * wide, 1.56 * wide, 1.4 * wide, 1.14 * wide, 1.12 * wide,
           1.22 * wide * full, 1.22 * wide, 1.1 * wide, 1.05 * wide], [0.5 * deep, 0.95 * deep, 1.2 * deep, 1.2 * deep,
           1.16 * deep, 1.1 * deep, 0.9 * deep], (36 * t, 0), 9 * f, 0.6)  # fmt: skip
    neck = float(level["C5"].centre[2]) + 8 * t
    anatomy.flesh([(0, head_base - 120 * c, neck + 12 * c), (0, head_base, neck + 12 * c), (0, top + 10 * t, neck),
                  (0, top + 70 * t, neck)], [76 * c, 77 * c, 70 * c, 57 * f, 60 * f, 110 * f], [94 * c, 92 * c, 70 * c,
                  56 * f, 56 * f, 60 * f], (0, 20 * f), 5 * f)  # fmt: skip
    anatomy.organ("air", [(0, head_base - 120 * c, neck + 12 * c), (0, head_base + 10 * t, neck + 10 * c)], [74 * c,
                  75 * c, 64 * c], [90 * c, 90 * c, 66 * c], (0, 20 * t), share=0.7)  # fmt: skip
    _lungs(anatomy, float(level["T2"].centre[1]) - 14 * t, base + 12 * t, wide, deep, middle, heart, lift, 0.5)
    anatomy.organ(
        "air",
        [level["C4"].at(0, 0, 18 * t), level["T1"].at(0, 0, 26 * t), level["T5"].at(3 * t, 0, 32 * t)],
        8.5 * t,
        8 * t,
        (4 * t, 4 * t),
    )
    _bowel(
        anatomy,
        shape,
        (0.6 * wide, 80 * t, 0.2 * deep),
        (0, 0.5 * (base + hip) + 30 * t, middle + 0.3 * deep),
        18 * t,
        7,
    )
    bones_of(anatomy, patient, vertebrae, t, facets=False, rings=False, dense=1.45)
    for number in range(1, 13):
        _rib(anatomy, level[f"T{number}"], number, wide, 0.62 * deep, t, hard, arcs=False)
    sacral = level["S1"]
    _sacrum(anatomy, sacral, t, hard, curve * bend)
    x, y, z = sacral.at(0, 0, 0)
    _ilia(anatomy, (x, y + 8 * t, z + 4 * t), t, hard, flare, low=True)
    head = Head(c, g, patient.age_months / 12, hard, head_base - 40 * c, neck + 10 * c)
    back = Solid((head.skull(0, -90, -14), head.skull(0, -10, -14), head.skull(0, 38, -30)), [73 * c, 72 * c, 60 * c],
                 [90 * c, 91 * c, 70 * c], (0.0, 30 * c), "bone", "soft", [4.5 * c, 3 * c, 1.4 * c],
                 "soft")  # fmt: skip
    back.mineral, back.bone, back.end_cortex = 0.6 * hard, "skull", 0.6 * c
    anatomy.add(back)
    mandible(anatomy, head, 1.0, 0.0)
    for side in (-1, 1):
        anatomy.bone("clavicle", [(side * 16 * t, top + 78 * t, middle + 0.7 * deep),
                     (side * 80 * t, top + 62 * t, middle + 0.5 * deep),
                     (side * 150 * f, top + 52 * t, middle - 10 * t)], [9 * t, 6 * t, 6 * t, 8 * t], [7 * t, 5 * t,
                     5 * t], 1.8 * t, (3 * t, 2 * t), 0.8 * hard)  # fmt: skip
    return anatomy


CERVICAL_SPINE = BodyPart("cervical_spine", build_cervical_spine, _VIEWS, sided=False)
THORACIC_SPINE = BodyPart("thoracic_spine", build_thoracic_spine, _VIEWS, sided=False)
LUMBAR_SPINE = BodyPart("lumbar_spine", build_lumbar_spine, _VIEWS, sided=False)
WHOLE_SPINE = BodyPart("whole_spine", build_whole_spine, (View("PA"), View("lateral", turn=90)), sided=False)
