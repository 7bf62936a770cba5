"""The abdomen. Measures are an adult man's in mm, rounded from anatomy textbooks, times the trunk's scale.

On a plain film the organs are grey upon grey: what shows is gas in the bowel, the fat that outlines liver and psoas,
and the bones behind. Infants swallow more air, in many loops that look alike; haustra come with the years.
"""

# Shapes: L loops of gas, B bubbles in stool, R pairs of ribs
import numpy as np

from ..growth import flesh_scale, length_scale, mineral
from ..records import Patient
from .part import BodyPart, View
from .pelvis import draw_side, innominate
from .solids import Anatomy, Shape, ball, draws
from .vertebrae import bones_of, column, spine_scale

FRONT = 8.0  # z of the middle of the bowel, mm
# The colon's course, x and y from the middle of the film: caecum to sigmoid
_COLON = (
    (-104, 112), (-112, 60), (-110, 8), (-98, -34), (-62, -28), (-22, -2), (22, -6), (64, -40), (104, -86),
    (116, -30), (118, 24), (114, 76), (92, 120), (50, 128), (18, 148),
)  # fmt: skip
_LOOPS = 18  # of small bowel, the most that an infant shows
_BUBBLES = 14


def soft_organs(anatomy: Anatomy, shape: Shape, t: float, fat: float):
    """Liver, spleen and kidneys, each a little denser than its surroundings, and the fat beside psoas and flanks."""
    one, two, three, lean = shape.vary(0.08), shape.vary(0.08), shape.vary(0.1), shape.offset(3.0)
    # a trace of bone on top of the muscle that is there already stands for an organ among fat and bowel
    anatomy.organ("bone", **ball((-72 * t, -118 * t, 10 * t), (74 * t * one, 78 * t * two, 66 * t), 24), share=0.045)
    anatomy.organ("bone", **ball((106 * t, -128 * t, -22 * t), (26 * t, 50 * t * three, 40 * t), -18), share=0.045)
    for side in (-1, 1):
        level = (-52 if side < 0 else -64) * t
        kidney = ball((side * 64 * t, level, -42 * t), (27 * t, 55 * t * three, 25 * t), side * -14)
        anatomy.organ("bone", **kidney, share=0.035)
        for path, wide, deep in (
            (((25, -100), (42, -20), (62, 40), (76, 96)), 2.2, 34),  # along psoas
            (((132, -60), (138, -10), (134, 52)), 2.6, 60),  # the flank stripe, beside the peritoneum
        ):
            points = [(side * (x + lean) * t, y * t, -24 * t) for x, y in path]
            anatomy.organ("fat", points, wide * t * fat, deep * t, (20 * t, 20 * t))
        rim = [(side * x * t, y * t, -42 * t) for x, y in ((96, -70), (92, -36), (72, -2))]
        anatomy.organ("fat", rim, 2.4 * t * fat, 22 * t, (12 * t, 12 * t))


def lower_ribs(anatomy: Anatomy, patient: Patient, shape: Shape, t: float):
    """The tenth to the twelfth pair, which slope down and outwards from the column."""
    dense, slope = 0.8 * mineral(patient), shape.vary(0.12)
    last = shape.vary(0.15)  # the twelfth differs most between people
    for row, (start, out, fall) in enumerate(((-190, 141, 94), (-163, 128, 88), (-132, 78, 52))):
        out = out * (last if row == 2 else 1.0)
        for side in (-1, 1):
            course = ((0.2, -0.04, -62), (0.5, 0.16, -78), (0.8, 0.5, -62), (1.0, 1.0, -26))
            points = [(side * out * x * t, (start + fall * slope * y) * t, z * t) for x, y, z in course]
            half = [n * t for n in (4.2, 5.2, 5.8, 5.6, 4.4)]
            anatomy.bone(f"rib {10 + row}", points, half, [0.6 * n for n in half], 1.2 * t, (2 * t, 4 * t), dense)


def colon(anatomy: Anatomy, shape: Shape, t: float, years: float):
    """Gas in stretches of the colon, waisted between the haustra, and stool on the right as a mottle of bubbles."""
    course = np.array(_COLON, float) + 7 * draws(shape, len(_COLON), 2)
    starts = np.sort(shape.random.uniform(0.0, 12.6, 8))
    lengths, girths, there = shape.random.uniform(0.8, 2.8, 8), shape.random.uniform(15, 27, 8), shape.random.random(8)
    phases = shape.random.uniform(0, 2 * np.pi, 8)
    haustra = float(np.interp(years, (0, 1, 6), (0.04, 0.1, 0.24)))
    for start, length, girth, is_there, phase in zip(starts, lengths, girths, there, phases, strict=True):
        if is_there > 0.8:
            continue
        at = np.linspace(start, min(start + length, len(_COLON) - 1), 5)
        x, y = (np.interp(at, np.arange(len(_COLON)), course[:, axis]) * t for axis in (0, 1))
        path = [(a, b, FRONT * t) for a, b in zip(x, y, strict=True)]
        waves = 1 - haustra * (1 + np.cos(np.linspace(0, 2 * np.pi * length * 1.6, 17) + phase))
        wide = girth * t * waves
        anatomy.organ("air", path, list(wide), list(wide), (0.7 * girth * t, 0.7 * girth * t))
    where, sizes = draws(shape, _BUBBLES, 2), shape.random.uniform(2.2, 5.5, _BUBBLES)
    kinds = shape.random.random(_BUBBLES)
    for (dx, dy), size, kind in zip(where, sizes, kinds, strict=True):
        middle = (-106, 66) if kind < 0.6 else (4, 158)  # caecum and ascending colon; rectum
        x, y = (middle[0] + 9 * dx) * t, (middle[1] + (22 if kind < 0.6 else 10) * dy) * t
        anatomy.organ("air", **ball((x, y, FRONT * t), (size * t, size * t, 1.6 * size * t)))


def small_bowel(anatomy: Anatomy, shape: Shape, t: float, years: float):
    """Short bent loops in the middle; a grown child shows a few, an infant fills the belly with them."""
    where, bends, tilts = draws(shape, _LOOPS, 2), draws(shape, _LOOPS), shape.random.uniform(0, np.pi, _LOOPS)
    sizes, longs = shape.random.uniform(9, 15, _LOOPS), shape.random.uniform(12, 36, _LOOPS)
    shown = float(np.interp(years, (0, 1, 4, 10), (1.0, 0.95, 0.7, 0.5))) * shape.vary(0.25)
    plump = float(np.interp(years, (0, 1, 6), (1.35, 1.3, 1.0)))
    for number in range(min(round(shown * _LOOPS), _LOOPS)):
        x, y = 44 * where[number, 0], 38 + 44 * where[number, 1]
        along = np.array([np.cos(tilts[number]), np.sin(tilts[number])]) * longs[number]
        across = np.array([-along[1], along[0]]) * 0.5 * bends[number]
        middle = np.array([np.clip(x, -92, 92), np.clip(y, -62, 128)])
        path = [(*(t * (middle + a * along + b * across)), FRONT * t) for a, b in ((-1, 0), (0, 0.8), (1, 0))]
        half = sizes[number] * plump * t
        anatomy.organ("air", path, [half, 0.86 * half, half, 0.9 * half], 1.1 * half, (0.9 * half, 0.9 * half))


def stomach(anatomy: Anatomy, shape: Shape, t: float):
    """The bubble under the left dome of the diaphragm, and some gas down the body of the stomach."""
    big, tilt, down = shape.vary(0.22), shape.offset(12.0), shape.vary(0.3)
    half = (30 * t * big, 22 * t * big, 22 * t * big)
    anatomy.organ("air", **ball((62 * t, -152 * t, 22 * t), half, 70 + tilt))
    path = [(66 * t, -132 * t, 18 * t), (54 * t, -98 * t * down, 18 * t), (16 * t, -74 * t * down, 18 * t)]
    anatomy.organ("air", path, [15 * t * big, 13 * t, 7 * t], [11 * t, 9 * t, 5 * t], (8 * t, 9 * t))


def lung_bases(anatomy: Anatomy, shape: Shape, t: float):
    """What the film's upper edge shows of the lungs above the diaphragm; the right dome stands higher."""
    breath = shape.offset(5.0)
    for side, dome in ((-1, -182), (1, -172)):
        ends = [(side * 72 * t, (dome - 140) * t, -10 * t), (side * 76 * t, (dome + breath) * t, -10 * t)]
        anatomy.organ("lung", ends, 58 * t, 62 * t, (0.0, 42 * t))


def build_abdomen(shape: Shape) -> Anatomy:
    patient = shape.patient
    years = patient.age_months / 12
    t = spine_scale(patient) * shape.vary(0.03)
    s = length_scale(patient) * shape.vary(0.03)
    f = (t * flesh_scale(patient)) ** 0.5  # the trunk itself makes up much of its girth
    anatomy = Anatomy(extent=(330 * t, 385 * t), energy=42)
    waist, belly, fat = shape.vary(0.04), shape.vary(0.05), shape.vary(0.2)
    round_ = float(np.interp(years, (0, 2, 7), (1.12, 1.08, 1.0)))  # a toddler's belly has no waist
    anatomy.flesh(
        [(0, -300 * t, -8 * t), (0, 0, -4 * t), (0, 300 * t, -8 * t)],
        [n * f * waist for n in (146, 144, 143 * round_, 140 * round_, 146 * round_, 154, 156)],
        [n * f * belly for n in (92, 92, 92 * round_, 90 * round_, 90, 88, 86)],
        skin=9 * f,
    )
    lung_bases(anatomy, shape, t)
    soft_organs(anatomy, shape, t, fat)
    lower_ribs(anatomy, patient, shape, t)
    vertebrae = column(anatomy, shape, "T11", "L5", t)
    for one in vertebrae:
        one.centre = one.centre + np.array([0.0, -58.0 * t, -40.0 * t])
    bones_of(anatomy, patient, vertebrae, t, facets=False, rings=False)
    last = vertebrae[-1]
    low, middle = float(last.centre[1] + 0.6 * last.height), float(last.centre[0])
    level = low + 102 * s
    sacrum = [(middle, low + 6 * t, -42 * t), (middle, low + 52 * s, -62 * t), (0, low + 104 * s, -58 * t)]
    anatomy.bone("sacrum", sacrum, [n * s for n in (54, 50, 36, 24, 12)], [n * s for n in (16, 13, 11, 8, 5)], 1.8 * s,
                 (6 * s, 8 * s), 0.7 * mineral(patient))  # fmt: skip
    for name, sign in (("right ", -1), ("left ", 1)):
        innominate(anatomy, patient, draw_side(shape, name, sign, 0.0, level, s, 0.0))
    # nothing may break here and there are no joints, so what lies below the film needs no number
    anatomy.solids = [solid for solid in anatomy.solids if min(point[1] for point in solid.path) < 205 * t]
    stomach(anatomy, shape, t)
    colon(anatomy, shape, t, years)
    small_bowel(anatomy, shape, t, years)
    return anatomy


ABDOMEN = BodyPart("abdomen", build_abdomen, (View("AP supine"),), sided=False)
