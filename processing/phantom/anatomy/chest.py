"""The chest: cage, lungs, heart and great vessels, diaphragm.

Measures are an adult man's in mm, rounded from anatomy textbooks. An infant's chest is short, wide and round with
horizontal ribs; its cardiothoracic ratio is .55 and falls to .45 in teenagers. Lungs are two swept ellipses that meet
behind the sternum; what is not lung in them (mediastinum, heart, vessels, diaphragm) is soft tissue in the lung's place.
Cartilage and sternum are left out, and vertebrae are bodies with a line of spinous processes.
"""

import numpy as np

from ..growth import flesh_scale, length_scale, mineral
from .chest_findings import Chest, Heart, add_chest_findings, collapsed, heart_of
from .part import BodyPart, View
from .solids import Anatomy, Shape, Solid, ball, draws
from .vertebrae import Vertebra, column

_WALL = ((0.0, 0.06, 0.14, 0.27, 0.45, 0.65, 0.85, 1.0, 1.2), (38, 58, 81, 104, 121, 131, 136, 138, 139))
_SIGNS = (-1, 1)  # of x: the patient's right is the picture's left


def build_chest(shape: Shape) -> Anatomy:
    """A film from the neck to the upper abdomen; the origin is about the seventh thoracic vertebra."""
    patient = shape.patient
    years = patient.age_months / 12
    s = length_scale(patient)
    tall = s * float(np.interp(years, (0, 2, 6, 12), (1.2, 1.13, 1.06, 1.0))) * shape.vary(0.03)
    broad = s * float(np.interp(years, (0, 1, 5, 10, 18), (1.34, 1.28, 1.1, 1.0, 0.97))) * shape.vary(0.04)
    deep = 84 * s * float(np.interp(years, (0, 1, 5, 15), (1.45, 1.35, 1.1, 1.0))) * shape.vary(0.06)
    breath = shape.vary(0.06)  # inspiration
    flesh = flesh_scale(patient) * shape.vary(0.1)
    anatomy = Anatomy((385 * broad, 385 * tall), energy=60.0)
    spine = column(anatomy, shape, "C6", "L2", tall)
    top = spine[2].centre[1] - 0.3 * spine[2].height
    higher = shape.offset(0.03) + 0.04  # the left dome is lower, by a finger on average
    height = (232 * tall * breath * (1 - higher), 232 * tall * breath)
    angle = tuple(top + one * (1.13 + shape.offset(0.02)) for one in height)
    taper = shape.vary(0.05)

    def wall(share: float) -> float:
        return broad * float(np.interp(share, *_WALL)) * (taper if share < 0.4 else 1.0)

    hila = ((-33 * broad, top + 0.47 * height[0]), (36 * broad, top + 0.43 * height[1]))
    chest = Chest(s, top, height, angle, wall, deep, hila)
    heart = heart_of(shape, _own_heart(shape, years))

    _body(anatomy, shape, chest, broad, tall, flesh)
    _lungs(anatomy, shape, chest)
    _bones(anatomy, shape, chest, spine, broad, tall, years)
    _diaphragm(anatomy, shape, chest)
    outline = _mediastinum(anatomy, shape, chest, heart, years, broad)
    _airways(anatomy, shape, chest, spine, broad)
    _vessels(anatomy, shape, chest, heart.vessels, broad)
    _things(anatomy, shape, chest, years, broad)
    add_chest_findings(anatomy, shape, chest, outline)
    return anatomy


def _own_heart(shape: Shape, years: float) -> Heart:
    ratio = float(np.interp(years, (0, 1, 3, 8, 16), (0.55, 0.54, 0.5, 0.465, 0.445))) + shape.offset(0.02)
    return Heart(ratio, shape.vary(0.08), shape.vary(0.08), shape.vary(0.1), shape.vary(0.1), shape.vary(0.12))


def _body(anatomy: Anatomy, shape: Shape, chest: Chest, broad: float, tall: float, flesh: float) -> None:
    wide, thick = chest.wall(0.8), 17 * flesh
    skin = 5 * flesh
    low, high = 230 * tall, -205 * tall
    trunk = [0.8, 0.92, 0.98, 1.0, 0.99]
    anatomy.flesh(
        [(0, chest.top - 5 * tall, 0), (0, low, 0)],
        [one * wide + thick for one in trunk],
        [one * chest.deep + 1.1 * thick for one in (0.75, 0.95, 1.0, 1.02, 1.05)],
        (30 * tall, 0),
        skin,
    )
    anatomy.flesh([(0, high - 30 * tall, -10 * tall), (0, chest.top + 30 * tall, -10 * tall)], 56 * broad, 58 * broad, skin=skin)
    lift, out = shape.offset(9) * tall, shape.vary(0.04)
    shoulder = (172 * broad * out, chest.top + 22 * tall + lift)
    bent = shape.random.uniform(0.0, 26.0) * broad
    # both shoulders as one
    anatomy.flesh(
        [(-shoulder[0], shoulder[1] + 14 * tall, 0), (-90 * broad, chest.top + 4 * tall, 0), (0, chest.top - 8 * tall, 0),
         (90 * broad, chest.top + 4 * tall, 0), (shoulder[0], shoulder[1] + 14 * tall, 0)],
        [34 * flesh, 36 * flesh, 40 * flesh, 36 * flesh, 34 * flesh],
        [45 * flesh, 52 * flesh, 58 * flesh, 52 * flesh, 45 * flesh],
        (25 * flesh, 25 * flesh),
        skin,
    )  # fmt: skip
    for sign in _SIGNS:
        elbow = (sign * (shoulder[0] + 28 * broad + bent), 190 * tall, 0)
        start = (sign * shoulder[0], shoulder[1] - 2 * tall, 0)
        anatomy.flesh([start, elbow], [38 * flesh, 36 * flesh, 33 * flesh], [40 * flesh, 36 * flesh, 33 * flesh], (30 * flesh, 0), skin)
        hard = mineral(shape.patient)
        near = (sign * (shoulder[0] + 2 * broad), shoulder[1] + 8 * tall, 0)
        anatomy.bone(
            "humerus", [near, elbow], [19 * chest.scale, 12.5 * chest.scale, 11 * chest.scale], [17 * chest.scale, 11 * chest.scale],
            [1.5 * chest.scale, 3.5 * chest.scale], (12 * chest.scale, 0), hard,
        )  # fmt: skip


def _lungs(anatomy: Anatomy, shape: Shape, chest: Chest) -> None:
    air = 1 + shape.offset(0.06)
    turned = shape.offset(0.07)  # a child that is turned a little has one whiter lung
    for side, sign in enumerate(_SIGNS):
        points, widths, depths = [], [], []
        end = (chest.angle[side] - chest.top) / chest.height[side]
        for share, thick in ((0.0, 0.35), (0.07, 0.55), (0.18, 0.75), (0.35, 0.93), (0.55, 1.0), (0.75, 1.0), (0.95, 0.98), (end, 0.93)):
            outer = chest.wall(share)
            inner = float(np.interp(share, (0, 0.07, 0.3), (0.3, 0.12, -0.07))) * outer
            points.append((sign * (outer + inner) / 2, chest.y(side, share), 0.0))
            widths.append((outer - inner) / 2)
            depths.append(thick * chest.deep)
        share = min(0.97 * air * (1 + sign * turned), 1.12)
        anatomy.organ("lung", points, widths, depths, (0.05 * chest.height[side], 0.0), share=share)


def _bones(anatomy: Anatomy, shape: Shape, chest: Chest, spine: list[Vertebra], broad: float, tall: float, years: float) -> None:
    hard, s = mineral(shape.patient), chest.scale
    for one in spine:
        h, w, d = one.height, one.half_width, one.half_depth
        shell = min(1.4 * s, 0.12 * h)
        anatomy.bone(one.level, [one.at(0, -h / 2, 0), one.at(0, h / 2, 0)], [w, 0.9 * w, w], [d, 0.9 * d, d], shell, (0.1 * h, 0.1 * h), hard)
        behind = one.at(0, 0.35 * h, -d - 22 * tall)
        anatomy.bone(one.level, **_as_bone(ball(behind, (2.6 * tall, 0.36 * h, 9 * tall))), cortex=1.0 * s, mineral=hard)
    fall = float(np.interp(years, (0, 2, 6, 14), (0.3, 0.5, 0.8, 1.0))) * shape.vary(0.1)
    lean, thick = shape.offset(0.04), shape.vary(0.08)
    jitter = draws(shape, 12, 2)
    for number in range(12):
        one = spine[2 + number]
        root = one.at(0, -0.35 * one.height, 0)
        for sign in _SIGNS:
            drop = (16 + 2.2 * number + 1.5 * jitter[number, 0]) * fall * tall
            drop2 = (30 + 4.0 * number + 2.0 * jitter[number, 1]) * fall * tall + sign * lean * 20 * tall
            y = root[1]
            share = (y + drop - chest.top) / chest.height[1]
            outer = chest.wall(max(share, 0.05)) + 2.5 * broad
            deep = chest.deep * min(0.62 + 0.08 * number, 1.0)
            half = (3.8 + 0.35 * min(number, 6)) * s * thick
            shell = 0.32 * half
            reach = 1.0 if number < 10 else (0.8, 0.55)[number - 10]
            posterior = [
                (root[0] + sign * 14 * broad, y, -0.7 * deep),
                (sign * 0.48 * outer * reach, y - 3 * tall * fall + 0.15 * drop, -1.0 * deep),
                (sign * 0.82 * outer * reach, y + 0.45 * drop, -0.72 * deep),
                (sign * outer * reach, y + drop, -0.15 * deep),
            ]
            anatomy.bone("rib", posterior, half, [0.5 * half, 0.5 * half, 0.65 * half, 1.1 * half], shell, (2 * s, 2 * s), hard)
            if number >= 9:
                continue
            tip = 0.36 + 0.035 * number
            anterior = [
                (sign * outer, y + drop, -0.15 * deep),
                (sign * 0.93 * outer, y + drop + 0.36 * drop2, 0.42 * deep),
                (sign * 0.7 * outer, y + drop + 0.76 * drop2, 0.8 * deep),
                (sign * tip * outer, y + drop + drop2, 0.97 * deep),
            ]
            anatomy.bone("rib", anterior, [half, 1.05 * half, 1.15 * half], [1.1 * half, 0.55 * half, 0.45 * half], 0.28 * half, (2 * s, 2 * s), 0.85 * hard)
    _girdle(anatomy, shape, chest, broad, tall, hard)


def _girdle(anatomy: Anatomy, shape: Shape, chest: Chest, broad: float, tall: float, hard: float) -> None:
    """Clavicles, and the scapulae's blades at the edges of the lungs."""
    s, up, turned, out = chest.scale, shape.offset(6) * tall, shape.offset(4) * broad, shape.vary(0.05)
    y = chest.top + 12 * tall
    for sign in _SIGNS:
        points = [
            (sign * 15 * broad + turned, y + 14 * tall, 0.72 * chest.deep),
            (sign * 62 * broad + turned, y + 4 * tall - 0.3 * up, 0.8 * chest.deep),
            (sign * 110 * broad + 0.5 * turned, y - 8 * tall - 0.8 * up, 0.3 * chest.deep),
            (sign * 150 * broad, y - 5 * tall - up, 0.0),
        ]
        anatomy.bone("clavicle", points, [8 * s, 5.5 * s, 5.2 * s, 6.5 * s], [6 * s, 5 * s, 4.5 * s, 4 * s], 1.6 * s, (3 * s, 3 * s), hard)
        x = 128 * broad * out
        blade = [(sign * (x + 18 * broad), y + 6 * tall, -0.8 * chest.deep), (sign * x, y + 125 * tall, -0.95 * chest.deep)]
        anatomy.bone("scapula", blade, [26 * s, 30 * s, 20 * s, 9 * s], [3.2 * s, 2.4 * s, 2.4 * s], 1.0 * s, (8 * s, 8 * s), hard)
        border = [(sign * (x + 32 * broad), y + 28 * tall, -0.75 * chest.deep), (sign * (x + 4 * broad), y + 122 * tall, -0.95 * chest.deep)]
        anatomy.bone("scapula", border, 3.4 * s, 4 * s, 1.4 * s, (4 * s, 4 * s), hard)


def _diaphragm(anatomy: Anatomy, shape: Shape, chest: Chest) -> None:
    """Each dome is an arch of soft tissue that fills the lung from its own height down to the costophrenic angle."""
    for side, sign in enumerate(_SIGNS):
        flat, peak = shape.vary(0.12), 0.45 + shape.offset(0.04)
        outer, dome, bottom = chest.wall(1.0), chest.y(side, 1.0), chest.angle[side]
        points, widths = [], []
        # of the way to the wall, and how far the dome has fallen towards the angle there
        for x, fallen in ((-0.1, 0.42), (0.2, 0.12), (peak, 0.0), (0.68, 0.14 * flat), (0.86, 0.45 * flat), (1.02, 1.0)):
            upper = dome + fallen * (bottom - dome)
            lower = bottom + 0.35 * (bottom - upper) + 2 * chest.scale
            points.append((sign * x * outer, (upper + lower) / 2, 0.0))
            widths.append((lower - upper) / 2)
        anatomy.organ("soft", points, widths, 1.02 * chest.deep * np.array([0.45, 0.75, 0.95, 0.95, 0.8, 0.4]), (0.0, 0.0), "lung")
    bubble = draws(shape, 4)
    size = chest.wall(1.0) * 0.13 * (1 + 0.3 * bubble[0])
    centre = (chest.wall(1.0) * (0.47 + 0.05 * bubble[1]), chest.y(1, 1.0) + 10 * chest.scale + 0.8 * size, 0.35 * chest.deep)
    anatomy.organ("air", **ball(centre, (1.5 * size, 0.8 * size, 0.7 * size), 12 * bubble[2]))


def _mediastinum(anatomy: Anatomy, shape: Shape, chest: Chest, heart: Heart, years: float, broad: float) -> list[Solid]:
    """Heart, great vessels and thymus; returns what makes the cardiac outline."""
    first = len(anatomy.solids)
    inner = 2 * chest.wall(0.9)
    width, moved = heart.ratio * inner, shape.offset(0.012) * inner
    right = -(0.315 + 0.02 * (heart.right_atrium - 1)) * width + moved
    left = right + width
    floor, deep = chest.y(1, 1.0) + 4 * chest.scale, chest.deep
    tilt, high = shape.offset(4), shape.vary(0.05)
    tall = 0.37 * width**0.6 * (0.46 * inner) ** 0.4 * 1.05 * high  # half-height
    y = floor - 0.83 * tall
    chamber = 0.42 * deep
    lv, ra = heart.left_ventricle, heart.right_atrium
    middle = ((left + right) / 2 - 0.03 * width, y, 0.2 * deep)
    anatomy.organ("soft", **ball(middle, (0.46 * width, tall, chamber), -24 + tilt), within="lung")
    size = 0.235 * width * (0.6 + 0.4 * lv)
    apex = (left - size + 0.10 * width * (lv - 1), y + 0.3 * tall + 0.12 * tall * (lv - 1), 0.1 * deep)
    anatomy.organ("soft", **ball(apex, (size, 1.35 * size, 0.8 * size), -28), within="lung")
    size = 0.2 * width * (0.55 + 0.45 * ra)
    at = (right + 0.88 * size - 0.12 * width * (ra - 1), y + 0.1 * tall, 0.15 * deep)
    anatomy.organ("soft", **ball(at, (size, 1.75 * size, 0.85 * size), 5), within="lung")
    trunk_y = y - 0.86 * tall
    size = 15.5 * broad * heart.pulmonary_artery**0.8
    at = (27 * broad + 10 * broad * (heart.pulmonary_artery - 1) + moved, trunk_y + 3 * broad, 0.1 * deep)
    anatomy.organ("soft", **ball(at, (size, 1.25 * size, 0.8 * size), -20), within="lung")
    knob_y = chest.y(1, 0.27) + shape.offset(3) * broad
    grown = float(np.interp(years, (0, 4, 14), (0.55, 0.75, 1.0)))
    size = 15.5 * broad * heart.knob * grown
    at = (19 * broad + 7 * broad * (heart.knob * grown - 1) + moved, knob_y, -0.15 * deep)
    anatomy.organ("soft", **ball(at, (size, 1.1 * size, 1.1 * size)), within="lung")
    outline = list(anatomy.solids[first:])
    descending = [(17 * broad, knob_y, -0.5 * deep), (20 * broad, y, -0.55 * deep), (9 * broad, floor + 30 * chest.scale, -0.5 * deep)]
    anatomy.organ("soft", descending, 10 * broad, 11 * broad, (0.0, 0.0), "lung")
    upper = [(moved * 0.5, chest.top - 6 * broad, 0), (0, knob_y, 0), (0, y, 0), (0, floor + 40 * chest.scale, 0)]
    anatomy.organ("soft", upper, [24 * broad, 25 * broad, 25 * broad, 27 * broad], [0.3 * deep, 0.42 * deep, 0.45 * deep, 0.5 * deep], (0.0, 0.0), "lung")
    size, sail = shape.vary(0.14), shape.random.uniform(-1, 1)
    thymus = float(np.interp(years, (0, 1.5, 3, 6), (1.0, 1.0, 0.7, 0.0)))
    if thymus > 0.1:
        for sign in _SIGNS:
            wide = (36 + 9 * sign * sail) * broad * size * thymus
            at = (sign * (wide * 0.45 + 8 * broad), chest.y(0, 0.28), 0.55 * deep)
            anatomy.organ("soft", **ball(at, (wide * 0.8, 0.17 * chest.height[0], 0.24 * deep), -8 * sign), within="lung")
    return outline


def _airways(anatomy: Anatomy, shape: Shape, chest: Chest, spine: list[Vertebra], broad: float) -> None:
    shift, half = (-2 + shape.offset(2)) * broad, 7.5 * broad * shape.vary(0.06)
    carina = chest.y(0, 0.36)
    anatomy.organ("air", [(0, spine[0].centre[1] - 30 * broad, -5 * broad), (shift, chest.top, -8 * broad), (shift, carina, -20 * broad)], half, half)
    for sign, (x, y) in zip(_SIGNS, chest.hilum, strict=True):
        end = (0.8 * x, y + (2 if sign < 0 else 5) * broad, -20 * broad)
        anatomy.organ("air", [(shift, carina - 3 * broad, -20 * broad), end], [0.75 * half, 0.6 * half], 0.6 * half, (0, 3 * broad))


def _vessels(anatomy: Anatomy, shape: Shape, chest: Chest, calibre: float, broad: float) -> None:
    """Hila, and branches that taper towards the wall; they end where a collapsed lung does."""
    numbers = draws(shape, 2, 8, 5)
    for side, sign in enumerate(_SIGNS):
        x, y = chest.hilum[side]
        grown = calibre**0.5
        hilum = ball((x + sign * 2 * broad, y + 8 * broad, -0.1 * chest.deep), (9.5 * broad * grown, 22 * broad * grown, 10 * broad * grown), -12 * sign)
        anatomy.organ("soft", **hilum, within="lung", share=0.9)
        gone = collapsed(shape, side) * chest.wall(0.8)
        for number in range(8):
            a, b, c, d, e = numbers[side, number]
            angle = np.deg2rad(-72 + 145 * number / 7 + 6 * a)
            long = chest.wall(0.8) * (0.56 + 0.07 * b) * (1.15 if abs(np.sin(angle)) > 0.7 else 0.95)
            thick = (3.3 + 0.5 * c) * broad * calibre
            points = []
            for part in (0.08, 0.4, 0.7, 1.0):
                off = 0.07 * long * d * np.sin(np.pi * part)
                px = abs(x) + part * long * np.cos(angle) - off * np.sin(angle)
                py = y + part * long * np.sin(angle) + off * np.cos(angle) + 0.1 * long * part**2
                share = (py - chest.top) / chest.height[side]
                px = min(px, 0.93 * chest.wall(max(share, 0.03)) - 1.2 * gone)
                points.append((sign * px, py, chest.deep * 0.35 * e * part))
            widths = [thick, 0.7 * thick, 0.45 * thick, 0.2 * thick]
            anatomy.organ("soft", points, widths, [1.3 * one for one in widths], (0.0, 2.0), "lung")
            if number % 2:  # a branch of it
                start, far = points[1], points[3]
                turn = 0.45 * (1 if d > 0 else -1)
                dx, dy = (far[0] - start[0]) * 0.7, (far[1] - start[1]) * 0.7
                tip = (start[0] + dx * np.cos(turn) - dy * np.sin(turn), start[1] + dy * np.cos(turn) + dx * np.sin(turn), start[2])
                limit = 0.93 * chest.wall(max((tip[1] - chest.top) / chest.height[side], 0.03)) - 1.2 * gone
                tip = (sign * min(abs(tip[0]), limit), tip[1], tip[2])
                anatomy.organ("soft", [start, tip], [0.55 * thick, 0.2 * thick], [0.7 * thick, 0.3 * thick], (0.0, 2.0), "lung")


def _things(anatomy: Anatomy, shape: Shape, chest: Chest, years: float, broad: float) -> None:
    """What lies on the child and means nothing: muscles or breasts, skin folds, leads."""
    u = shape.random.random(12)
    n = draws(shape, 8)
    female = shape.patient.sex == "female"
    breast = float(np.interp(years, (10, 15), (0.0, 1.0))) if female else 0.0
    bulk = (8 + 18 * breast + 3 * n[0]) * chest.scale
    for sign in _SIGNS:
        y = chest.y(0, (0.74 if breast > 0.3 else 0.42) + 0.02 * n[1])
        half = ((52 + 6 * n[2]) * broad, 48 * broad, bulk)
        anatomy.organ("soft", **ball((sign * 82 * broad, y, chest.deep), half), within="air", share=0.8)
    if u[0] < 0.25:  # a fold: a band with one edge
        sign, x = (1 if u[1] < 0.5 else -1), chest.wall(0.7) * (0.55 + 0.35 * u[2])
        points = [(sign * (x + 8 * broad * n[3]), chest.y(0, 0.25 + 0.3 * u[3]), -chest.deep), (sign * x, chest.y(0, 1.05), -chest.deep)]
        anatomy.organ("soft", points, (4 + 8 * u[4]) * broad, (3 + 3 * u[5]) * chest.scale, (10.0 * broad, 0.0), "air")
    if u[6] < 0.2:
        for number in range(3):
            x, y = (0.62 * chest.wall(0.6) * (-1, 1, 1)[number] + 8 * broad * n[4 + number], chest.y(0, (0.15, 0.18, 0.85)[number]))
            anatomy.organ("lead", **ball((x, y, chest.deep), (4.5 * broad, 4.5 * broad, 0.25)), within="air", share=0.3)
            far = ((-1, 1, 1)[number] * (30 + 90 * u[7 + number]) * broad, chest.y(0, 1.3), chest.deep)
            bend = ((x + far[0]) / 2 + 22 * broad * n[7 - number], (y + far[1]) / 2, chest.deep)
            anatomy.organ("lead", [(x, y, chest.deep), bend, far], 0.9 * broad, 0.25, (0.0, 0.0), "air", share=0.35)


def _as_bone(shape: dict) -> dict:
    return shape


CHEST = BodyPart("chest", build_chest, (View("PA"), View("lateral", turn=90)), sided=False)
