"""The chest. Measures are an adult man's in mm, rounded from anatomy textbooks, and scaled by the child's length.

An infant's chest is wide and deep for its height, with horizontal ribs, a large heart and a thymus. Normal chests
differ in what findings change too: how deep a breath was taken, how high each half of the diaphragm stands, how
dense either lung is, what lies over it, what the child wears. An edge or a texture, not a mean, shows a finding.
"""

# Shapes: V levels from the lungs' apex down to their base
from dataclasses import dataclass

import numpy as np

from ..growth import flesh_scale, length_scale, mineral
from .bones import long_bone, round_bone
from .chest_findings import (
    Heart,
    Lung,
    add_consolidation,
    add_effusion,
    add_pneumothorax,
    collapsed,
    heart_changes,
    mark_heart,
)
from .part import BodyPart, View
from .solids import Anatomy, Shape, Solid, ball

_LEVELS = 9
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_SIDES = ((-1, "right"), (1, "left"))  # the patient's right is the picture's left
_TOP, _STEP = -148.0, 23.5  # y of the first thoracic vertebra, and from one to the next

_USUAL, _SPARE = 7, 4  # large vessels of a lung, and those that plethora adds
_STEPS = np.linspace(0.02, 1.5, 28)


def _arc(low: float, high: float, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the chest's half-width, evenly spaced, and the shares of its half-depth that go with them."""
    out = np.linspace(low, high, points)
    return out, np.sqrt(1 - out**2)


# the ninth rib and those above it, the tenth, eleventh and twelfth; then the front of the first seven
_BEHIND = [_arc(0.11, high, 7) for high in (0.99, 0.98, 0.8, 0.5)]
_BEFORE = [_arc(0.99, low, 5) for low in (0.62, 0.62, 0.62, 0.64, 0.67, 0.7, 0.73)]


@dataclass
class Frame:
    """Measures of one child's chest."""

    years: float
    infancy: float  # 1 in the first year, 0 from 14 years
    w: float  # scale of widths
    h: float  # of heights
    f: float  # of soft tissue
    half_width: float  # mm of the rib cage inside, at its widest
    half_depth: float
    breath: float  # mm by which the base lies lower than usual
    y: np.ndarray  # (V,)
    wide: np.ndarray  # (V,) half-width of the rib cage inside
    deep: np.ndarray  # (V,) half-depth

    def width_at(self, y: float) -> float:
        return float(np.interp(y, self.y, self.wide))

    def depth_at(self, y: float) -> float:
        return float(np.interp(y, self.y, self.deep))


def build_chest(shape: Shape) -> Anatomy:
    """A film from the neck to the upper abdomen; the origin is about the seventh thoracic vertebra."""
    frame = _measure(shape)
    anatomy = Anatomy(extent=(2 * frame.half_width + 72 * frame.w, 320 * frame.h), energy=50.0)
    _body(anatomy, shape, frame)
    ratio = 0.45 + 0.10 * frame.infancy + shape.offset(0.02)
    changes = heart_changes(shape, ratio)
    cavities = [_cavity(anatomy, shape, frame, side) for side, _ in _SIDES]
    _mediastinum(anatomy, shape, frame, cavities, ratio, changes)
    for cavity in cavities:
        lung = collapsed(shape, cavity)
        _vessels(anatomy, shape, frame, cavity, lung, changes.plethora)
        _shadows(anatomy, shape, frame, cavity)
        add_pneumothorax(anatomy, shape, cavity, lung)
        add_effusion(anatomy, shape, cavity)
        add_consolidation(anatomy, shape, cavity)
    _gas(anatomy, shape, frame, cavities[1])
    _thymus(anatomy, shape, frame)
    _ribs(anatomy, shape, frame)
    _shoulders(anatomy, shape, frame)
    _midline(anatomy, shape, frame)
    _worn(anatomy, shape, frame)
    return anatomy


def _measure(shape: Shape) -> Frame:
    patient = shape.patient
    years = patient.age_months / 12
    s = length_scale(patient) * shape.vary(0.03)
    infancy = float(np.interp(years, (0, 1, 3, 8, 14), (1, 1, 0.75, 0.3, 0)))
    w = s * float(np.interp(years, (0, 1, 5, 10, 18), (1.4, 1.3, 1.13, 1.04, 1))) * shape.vary(0.05)
    h = s * float(np.interp(years, (0, 1, 5, 18), (1.04, 1.04, 1.02, 1))) * shape.vary(0.05)
    half_width, half_depth = 130 * w, (72 + 24 * infancy) * w * shape.vary(0.05)
    breath = shape.offset(14) * h
    y = np.linspace(-140 * h, 122 * h + 0.6 * breath, _LEVELS)
    barrel = np.array([0.55, 0.68, 0.82, 0.91, 0.97, 1, 1.01, 1.01, 1])
    triangle = np.array([0.52, 0.6, 0.68, 0.76, 0.84, 0.91, 0.97, 1.01, 1.03])
    widens = 0.15 + 0.85 * infancy
    wide = half_width * (barrel + (triangle - barrel) * widens + shape.offset(0.05) * np.linspace(-1, 1, _LEVELS))
    deep = half_depth * np.array([0.5, 0.7, 0.86, 0.95, 1, 1, 1, 0.97, 0.92])
    f = flesh_scale(patient) * shape.vary(0.08)
    return Frame(years, infancy, w, h, f, half_width, half_depth, breath, y, wide, deep)


def _body(anatomy: Anatomy, shape: Shape, frame: Frame):
    """Neck, shoulders and trunk as one, and a small child's upper arms at the edges of the film."""
    w, h, f = frame.w, frame.h, frame.f
    wall, fat = 13 * f, (5 + 2 * frame.infancy) * f
    slope, lift = shape.offset(9) * h, shape.offset(1.0)
    y = np.linspace(-260 * h, 240 * h, 21)
    trunk = np.interp(y, frame.y, frame.wide) + wall
    corners = (-215 * h + slope, -185 * h + slope, -150 * h, -110 * h, -70 * h, -30 * h, 10 * h)
    out = 0.8 * frame.infancy
    adult = np.array([56, 66, 150, 174, 162, 146, 0.0])
    shoulders = w * (adult + out * np.array([10, 10, -6, -18, -15, -5, 0]))
    width = np.maximum(np.interp(y, corners, shoulders), np.where(y > -110 * h, trunk, 0.0))
    chest = np.interp(y, frame.y, frame.deep) + 1.2 * wall
    depth = np.where(y < -60 * h, np.interp(y, (-190 * h, -60 * h), (58 * w, 1.0 * chest[9])), chest)
    anatomy.flesh([(0, float(y[0]), 0), (0, float(y[-1]), 0)], width.tolist(), depth.tolist(), skin=fat)
    if frame.years < 4:
        for side, _ in _SIDES:
            near, far = (side * 152 * w, -105 * h, -10 * w), (side * 225 * w, (10 - 90 * lift) * h, 0.0)
            anatomy.flesh([near, far], [36 * w, 28 * w], [36 * w, 28 * w], (12 * w, 12 * w), skin=fat)


def _cavity(anatomy: Anatomy, shape: Shape, frame: Frame, side: int) -> Lung:
    """The space for one lung, filled with lung, and what bulges into it from below."""
    h, w = frame.h, frame.w
    base = float(frame.y[-1]) + shape.offset(9) * h
    dome = (68 + 9 * (side > 0)) * h + 0.9 * frame.breath + shape.offset(15) * h
    dome = float(np.clip(dome, 20 * h, base - 20 * h))
    y = np.linspace(frame.y[0] + shape.offset(4) * h, base, _LEVELS)
    wide = np.interp(y, frame.y, frame.wide) * shape.vary(0.015)
    deep = 0.96 * np.interp(y, frame.y, frame.deep)
    medial = np.array([16, 6, -2, -6, -7, -8, -10, -12, -15]) * w
    hilum = (side * 40 * w, (-24 if side > 0 else -12) * h + shape.offset(4) * h, -6 * w)
    lung = Lung(side, y, medial, wide, deep, dome, hilum, w)
    share = float(np.clip(0.87 * shape.vary(0.08), 0.66, 1.04))
    anatomy.add(lung.solid("lung", "soft", share))
    # half an ellipsoid whose base is the lung's base, its summit towards the midline
    lean = (shape.offset(5) - 9) * w
    path = lung.path()
    axis = (path[-1] - path[0]) / lung.tall
    foot = path[-1]
    tops = [foot - axis * (base - dome) * at for at in (1.0, 0.75, 0.5, 0.25, 0.0)]
    for one, bow in zip(tops, (0.0, 0.55, 0.45, 0.12, 0.0), strict=True):
        one[0] += side * lean * bow
    half, tall = float(lung.lateral[-1] - lung.medial[-1]) / 2, float(base - dome)
    anatomy.organ(
        "soft", [tuple(map(float, one)) for one in tops], half, float(deep[-1]), (0.99 * tall, 0.0), "lung", share
    )
    return lung


def _mediastinum(anatomy: Anatomy, shape: Shape, frame: Frame, lungs: list[Lung], ratio: float, change: Heart):
    """Great vessels and heart as one outline by levels, and tells each lung how far the heart reaches."""
    w, h = frame.w, frame.h
    floor = (lungs[0].dome + lungs[1].dome) / 2 / h  # the heart rests on the diaphragm
    y = np.linspace(-152, floor + 12, 20)  # of the adult
    across = 2 * frame.half_width / w * (ratio + change.wider)
    share = 0.35 + shape.offset(0.025)  # of the heart, to the right of the midline
    right = share * across + 15 * change.right_atrium
    left = (1 - share) * across + 15 * change.left_ventricle + 11 * change.right_ventricle
    low = shape.offset(3) + 0.6 * (floor - 73)
    neck = (21 + 5 * frame.infancy) * shape.vary(0.1)
    knob = (11 + 10 * change.aorta) * (1 - 0.5 * frame.infancy) * shape.vary(0.2)
    trunk = (6 + 14 * change.pulmonary_artery) * shape.vary(0.15)
    cava = 6 + 3 * frame.infancy
    border_right = neck + cava * _rise(y, -140, -80)
    border_right += (right - neck - cava) * (_rise(y, -42 + low, 22 + low) - 0.15 * _rise(y, 60 + low, 110))
    # a large left ventricle pushes the apex down, a large right one lifts it
    apex = 70 + low + 12 * change.left_ventricle - 18 * change.right_ventricle
    border_left = neck + 4 * _rise(y, -120, -60)
    border_left += (left - neck - 4) * (_rise(y, -42 + low, apex) - 0.3 * _rise(y, apex + 2, apex + 45))
    border_left += knob * np.exp(-(((y + 74 - 0.5 * low) / 18) ** 2))
    border_left += trunk * np.exp(-(((y + 36 - low) / 17) ** 2))
    middle, half = (border_left - border_right) / 2 * w, (border_left + border_right) / 2 * w
    deep = (12 + 29 * _rise(y, -110, 40)) * (1 + change.wider) * frame.half_depth / 78 * shape.vary(0.08)
    forward = (-4 + 26 * _rise(y, -80, 40)) * frame.half_depth / 78
    path = tuple(zip(middle.tolist(), (y * h).tolist(), forward.tolist(), strict=True))
    half, deep = half.tolist(), deep.tolist()
    anatomy.zones["heart"] = anatomy.add(Solid(path, half, deep, (4 * h, 30 * h), "soft", "lung"))
    mark_heart(anatomy, shape, Solid(path[8:], half[8:], deep[8:], (12 * h, 30 * h), "soft", "lung"))
    lungs[0].heart, lungs[1].heart = float(half[14] - middle[14]), float(half[15] + middle[15])


def _rise(y: np.ndarray, low: float, high: float) -> np.ndarray:
    """From 0 at `low` to 1 at `high`, smoothly."""
    share = np.clip((y - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def _vessels(anatomy: Anatomy, shape: Shape, frame: Frame, cavity: Lung, lung: Lung, plethora: float):
    """Hilum and branching vessels, larger towards the base; with plethora they are more and wider."""
    random, w, h = shape.random, frame.w, frame.h
    side, (hx, hy, hz) = cavity.side, cavity.hilum
    full, tall = (1 + 0.5 * plethora) * shape.vary(0.1), shape.vary(0.12)
    hilum = ball((hx, hy, hz), (9 * w * full**0.7, 21 * h * tall, 11 * w), -side * 14)
    anatomy.organ("soft", **hilum, within="lung", share=0.8)
    count = _USUAL + _SPARE
    angles = np.deg2rad(np.linspace(-74, 84, count) + random.normal(0, 5, count))
    lengths, sways = random.uniform(0.6, 0.88, count), random.normal(0, 0.09, count)
    depths = random.uniform(-0.5, 0.5, count) * float(cavity.depth[4])
    forks = angles + np.deg2rad(random.uniform(16, 40, count)) * random.choice((-1, 1), count)
    along = np.stack([np.cos(angles), np.sin(angles)], 1)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    start = np.tile([abs(hx), hy], (count, 1))
    reach = (_room(lung, start, along) * lengths)[:, None]
    root, tip = start + 0.08 * reach * along, start + reach * along
    mid = start + 0.5 * reach * along + sways[:, None] * reach * across
    branch = np.stack([np.cos(forks), np.sin(forks)], 1)
    end = mid + branch * np.minimum(0.5 * reach, 0.8 * _room(lung, mid, branch)[:, None])
    # gravity: an upright child's lower vessels carry more
    thick = (3.3 + 0.8 * along[:, 1]) * w * full
    points = np.stack([root, mid, tip, end], 1) * (side, 1)
    points = np.concatenate([points, (hz + depths[:, None] * (0, 0.5, 1, 1))[..., None]], 2).tolist()
    order = np.arange(count) * 4 % count  # spread over the lung, however many are drawn
    for number in order[: _USUAL + round(_SPARE * plethora)].tolist():
        path, a = points[number], float(thick[number])
        anatomy.organ("soft", path[:3], [a, 0.66 * a, 0.35 * a], [2.1 * a, 1.6 * a, 1.1 * a], within="lung")
        if number % 2 == 0 or plethora > 0.3:
            anatomy.organ("soft", [path[1], path[3]], [0.62 * a, 0.32 * a], [1.4 * a, 0.9 * a], within="lung")


def _room(lung: Lung, start: np.ndarray, along: np.ndarray) -> np.ndarray:
    """How far straight lines run from points until they leave the lung."""
    steps = _STEPS * lung.lateral[4]
    xs, ys = (start[:, None, axis] + along[:, None, axis] * steps for axis in (0, 1))
    out = (xs > np.interp(ys, lung.y, lung.lateral)) | (xs < 0)
    out |= (ys < lung.y[0] + 9 * lung.scale) | (ys > lung.dome + 10 * lung.scale)
    out[:, -1] = True
    return steps[out.argmax(1)]


def _shadows(anatomy: Anatomy, shape: Shape, frame: Frame, lung: Lung):
    """What lies before or behind a lung and differs from side to side: muscle, fat, a breast, a fold of skin."""
    random, w, h, side = shape.random, frame.w, frame.h, lung.side
    draws = np.clip(random.normal(size=(2, 6)), -2.3, 2.3)
    for (dx, dy, a, b, turn, thick), (x, y) in zip(draws, ((90, -60), (90, 75)), strict=True):
        half = (42 * w * (1 + 0.2 * a / 2), 42 * h * (1 + 0.2 * b / 2), 20 * w)
        centre = (side * (x + 22 * dx) * w, (y + 28 * dy) * h, 0.0)
        anatomy.organ("soft", **ball(centre, half, 40 * turn), within="air", share=0.32 * float(thick))
    grown = float(np.interp(frame.years, (10, 15), (0, 1))) if shape.patient.sex == "female" else 0.0
    place, size = shape.offset(1.0), shape.vary(0.15)
    if grown > 0.1:
        half = (52 * w * size, 44 * h * size, 16 * frame.f * grown * size)
        centre = (side * (78 + 5 * place) * w, (56 + 8 * place) * h, frame.half_depth + 10 * frame.f)
        anatomy.organ("soft", **ball(centre, half, -20 * side), within="air", share=0.9)
    fold = random.random() < 0.3
    x, lean = random.uniform(0.5, 0.92) * frame.half_width, random.normal(0, 14) * w
    length, thick = random.uniform(80, 170) * h, random.uniform(2, 5) * w
    if fold:
        path = [(side * x, -70 * h, 0.0), (side * (x + lean), length - 70 * h, 0.0)]
        anatomy.organ("soft", path, [5 * w, 11 * w, 6 * w], [0.4 * thick, thick, 0.4 * thick], within="air")


def _gas(anatomy: Anatomy, shape: Shape, frame: Frame, left: Lung):
    """Trachea and main bronchi; the stomach's bubble under the left dome, and bowel further down."""
    random, w, h = shape.random, frame.w, frame.h
    bend = (shape.offset(5) - 4 * frame.infancy) * w
    wide = (7 + 0.5 * frame.infancy) * w * shape.vary(0.1)
    carina = (2 * w + 0.5 * bend, -44 * h, -16 * w)
    anatomy.organ("air", [(0, -235 * h, 0), (bend, -130 * h, -6 * w), carina], wide, 1.1 * wide)
    for end, size in (((-34 * w, -14 * h, -14 * w), 0.75), ((42 * w, -20 * h, -18 * w), 0.68)):
        anatomy.organ("air", [carina, end], [size * wide, 0.8 * size * wide], size * wide, (0, 5 * w))
    bubble, (dx, tilt) = random.uniform(0.5, 1.3), random.normal(size=2)
    half = (27 * w * bubble, 15 * h * bubble, 20 * w * bubble)
    centre = ((56 + 9 * dx) * w, left.dome + 9 * h + half[1], 20 * w)
    anatomy.organ("air", **ball(centre, half, 90 + 18 * tilt if bubble < 0.6 else 18 * tilt), share=0.8)
    for dx, dy, size, tilt in np.tanh(random.normal(size=(4, 4))):
        half = (20 * w * (1 + 0.4 * size), 11 * w, 12 * w)
        anatomy.organ("air", **ball((90 * dx * w, (172 + 20 * dy) * h, 20 * w), half, 60 * tilt), share=0.8)


def _thymus(anatomy: Anatomy, shape: Shape, frame: Frame):
    """Of a small child: a sail with a straight lower edge on the right, a rounder bulge on the left."""
    random, w, h = shape.random, frame.w, frame.h
    sizes = np.clip(random.normal(0.7, 0.4, 2), 0.1, 1.5) * float(np.interp(frame.years, (0, 1, 3, 5), (1, 1, 0.5, 0)))
    lean = random.normal(0, 4)
    if frame.years >= 4:
        return
    for (side, _), large in zip(_SIDES, sizes.tolist(), strict=True):
        reach = (32 + 26 * large) * w
        path = [(side * 20 * w, -108 * h, 30 * w), (side * (reach - 20 * w), (-20 + lean) * h, 34 * w)]
        caps = (8 * h, 3 * h if side < 0 else 30 * h)
        anatomy.organ("soft", path, [9 * w, 16 * w, 22 * w], [10 * w, 13 * w, 12 * w], caps, within="lung")


def _ribs(anatomy: Anatomy, shape: Shape, frame: Frame):
    """Twelve pairs: from the spine back and round to the side, then forwards as far as they are bone."""
    w, h, strong = frame.w, frame.h, mineral(shape.patient)
    slant, thick = (1 - 0.62 * frame.infancy) * shape.vary(0.12), shape.vary(0.08)
    for number in range(12):
        top = (_TOP + number * _STEP) * h
        drop = slant * h * float(np.interp(number, (0, 3, 7, 11), (44, 92, 112, 100)))
        half = 5.4 * w * thick * (0.9 if number in (0, 10, 11) else 1)
        wide = (frame.width_at(top + 0.5 * drop) + 3 * w) * (0.86 if number == 0 else 1)
        deep = frame.depth_at(top + 0.5 * drop)
        out, away = _BEHIND[max(number - 8, 0)]
        behind = np.stack([wide * out, top + drop * (0.22 * out + 0.28 * (1 - away)), -deep * away], 1)
        out, away = _BEFORE[min(number, 6)]
        before = np.stack([wide * out, top + drop * (0.47 + 0.5 * away), deep * away], 1)
        thin, ends = 0.85 * half, (0.5 * half, 0.5 * half)
        for side, word in _SIDES:
            name = f"{word} {_ORDINALS[number]} rib"
            anatomy.bone(name, (behind * (side, 1, 1)).tolist(), half, thin, 0.24 * half, ends, strong)
            if number < 7:
                anatomy.bone(name, (before * (side, 1, 1)).tolist(), half, thin, 0.24 * half, ends, strong)


def _shoulders(anatomy: Anatomy, shape: Shape, frame: Frame):
    """Clavicles, shoulder blades, and the heads of the humeri."""
    w, h, patient = frame.w, frame.h, shape.patient
    lift = shape.offset(7) * h
    for side, word in _SIDES:
        tilt, out, plate = shape.offset(6) * h, shape.offset(11) * w, shape.vary(0.2)
        inner = (side * 19 * w, -112 * h + lift, 0.75 * frame.half_depth)
        outer = (side * 150 * w, -146 * h + lift + tilt, -5 * w)
        radii = (8 * w, 5.5 * w, 7 * w)
        long_bone(anatomy, patient, f"{word} clavicle", inner, outer, radii, 1.8 * w, (0, 14 * w), caps=(3 * w, 3 * w))
        # the arms are turned so that the blade clears most of the lung
        x = (122 - 8 * frame.infancy) * w + out
        blade = ((x + 26 * w, -116 * h, -62 * w), (x + 14 * w, -66 * h, -66 * w), (x - 4 * w, -4 * h, -62 * w))
        path = [(side * a, b + lift, c) for a, b, c in blade]
        half, caps = [30 * w * plate, 24 * w * plate, 9 * w * plate], (14 * w, 8 * w)
        anatomy.bone(f"{word} scapula", path, half, 2.6 * w, 0.8 * w, caps, mineral(patient))
        head = (side * (168 - 14 * frame.infancy) * w, -118 * h + lift, -10 * w)
        round_bone(anatomy, patient, f"{word} humerus", head, (20 * w, 19 * w, 18 * w), -0.5, 6)


def _midline(anatomy: Anatomy, shape: Shape, frame: Frame):
    """The spine with the soft tissue at its side, and the sternum."""
    w, h, strong = frame.w, frame.h, mineral(shape.patient)
    sway, bend = shape.offset(2.5) * w, shape.offset(0.5)
    back = -0.62 * frame.half_depth
    column = [(0.0, (_TOP + 8 * at) * h, back - 8 * w) for at in (0, 8, 16, 24, 32)]
    anatomy.organ("soft", column, 21 * w, 20 * w, within="lung", share=0.5)
    for number in range(14):
        y = (_TOP + number * _STEP) * h
        wide = float(np.interp(number, (0, 13), (13.5, 19))) * w
        x, z = sway * float(np.sin(0.35 * number + bend)), back - 9 * w * float(np.sin(np.pi * number / 13))
        anatomy.bone(
            "thoracic spine" if number < 12 else "lumbar spine",
            [(x, y - 0.39 * _STEP * h, z), (x, y + 0.39 * _STEP * h, z)],
            [wide, 0.92 * wide, wide],
            [0.95 * wide, 0.88 * wide, 0.95 * wide],
            1.0 * w,
            (2.5 * w, 2.5 * w),
            strong,
            end_cortex=1.4 * w,
        )
    front, gap = 0.96 * frame.half_depth, (3 + 5 * frame.infancy) * h
    for number in range(4):
        high, low = (-112 + 38 * number) * h + gap / 2, (-74 + 38 * number) * h - gap / 2
        z = front * float(np.interp(number, (0, 3), (0.8, 1.02)))
        path = [(0.0, high, z - 3 * w), (0.0, low, z)]
        anatomy.bone("sternum", path, (20 if number == 0 else 13) * w, 5 * w, 0.8 * w, (4 * w, 4 * w), strong)


def _worn(anatomy: Anatomy, shape: Shape, frame: Frame):
    """Electrodes and their wires on some, a feeding tube in a few."""
    random, w, h = shape.random, frame.w, frame.h
    leads, tube, places = random.random() < 0.2, random.random() < 0.12, random.normal(size=(3, 2))
    end, shift, front = random.uniform(40, 70), random.normal(0, 3), frame.half_depth + 14 * frame.f
    if leads:
        for number, (x, y) in enumerate(((-80, -70), (85, -60), (85, 90))):
            x, y = (x + 15 * places[number, 0]) * w, (y + 16 * places[number, 1]) * h
            anatomy.organ("bone", **ball((x, y, front), (5.5 * w, 5.5 * w, 0.9)), within="air")
            far = (0.5 * x, 60 * h) if number < 2 else (1.1 * x, 180 * h)
            path = [(x, y, front), ((x + far[0]) / 2 + 14 * w, (y + far[1]) / 2, front), (*far, front)]
            anatomy.organ("bone", path, 0.9, 1.0, within="air")
    if tube:
        path = [(shift * w, -235 * h, -8 * w), (3 * w, 0, -20 * w), (12 * w, 80 * h, 0), (end * w, 104 * h, 15 * w)]
        anatomy.organ("bone", path, 1.3 * w, 1.1)


CHEST = BodyPart("chest", build_chest, (View("PA"), View("lateral", turn=90)), sided=False)
