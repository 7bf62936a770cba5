"""Bones of the hand and wrist, which the films of hand, finger, wrist and forearm share.

Measures are an adult man's in mm, rounded from anatomy textbooks. Written as for a right hand that is seen from its
back: thumb to the left (x), fingers up (y), back of the hand towards the viewer (z); the middle of the radius's joint
surface is about the origin. `Frame` puts it onto the film.
"""

from dataclasses import dataclass

import numpy as np

from ..growth import mineral
from ..records import Patient
from .bones import closing_end, long_bone, round_bone
from .solids import Anatomy, Point

ORDINALS = ("first", "second", "third", "fourth", "fifth")
# centre, half-axes, tilt in degrees, a boy's years at which it appears and has its full size
CARPALS = {
    "scaphoid": ((-14.8, 9.8, -3), (6.4, 11.3, 6.5), 30, 5, 13),
    "lunate": ((-1.0, 7.8, 0), (7.2, 7.4, 8.5), 0, 4, 13),
    "triquetrum": ((12.3, 11.3, 0), (5.4, 7.8, 7), -52, 2.5, 13),
    "pisiform": ((14.5, 9.5, -13), (5.0, 6.2, 5), 0, 10, 13.5),
    "trapezium": ((-23.0, 24.0, -8), (7.6, 8.0, 7), 30, 5.5, 13),
    "trapezoid": ((-12.2, 26.2, 1), (5.6, 6.6, 7.5), 5, 6, 13),
    "capitate": ((-0.4, 24.2, 1), (6.6, 11.2, 9), 2, 0.25, 13),
    "hamate": ((11.9, 25.3, -2), (6.6, 8.8, 9), -16, 0.3, 13),
}


@dataclass(frozen=True)
class Ray:
    """A metacarpal and its phalanges."""

    base: Point
    lean: float  # degrees of the metacarpal to the little finger's side
    dip: float  # degrees of the metacarpal towards the palm
    splay: float  # degrees of the finger, as `lean`
    lengths: tuple[float, ...]  # metacarpal and phalanges
    half: float  # half-width of the proximal phalanx's base


RAYS = (
    Ray((-29.0, 33.5, -11), -37, 18, -30, (45, 31, 21), 8.6),
    Ray((-11.5, 33.5, 2), -9, 0, -10, (67, 40, 23, 16.5), 8.2),
    Ray((1.0, 36.0, 3), 0.5, -1, 0, (64, 44.5, 27, 17.5), 8.2),
    Ray((10.0, 34.5, 1), 9, 0, 7, (57, 41.5, 26, 17.5), 7.7),
    Ray((18.0, 32.0, -2), 17, 1, 17, (53, 33, 18.5, 16), 7.1),
)


@dataclass(frozen=True)
class Frame:
    """Where the hand lies on the film: `middle` is its point at the film's origin; `turned` for fingers down."""

    s: float
    middle: tuple[float, float]
    turned: bool = False  # about the x axis, so the palm is seen and the thumb stays where it is

    def at(self, point: Point) -> Point:
        sign = -1.0 if self.turned else 1.0
        x, y, z = point
        return ((x - self.middle[0]) * self.s, sign * (self.middle[1] - y) * self.s, sign * z * self.s)

    def towards(self, direction: Point) -> Point:
        sign = -1.0 if self.turned else 1.0
        return (direction[0], -sign * direction[1], sign * direction[2])

    def path(self, points) -> list[Point]:
        return [self.at(point) for point in points]


def heading(lean: float, dip: float) -> Point:
    """Unit vector of a bone that leans and dips by these degrees."""
    a, b = np.deg2rad(lean), np.deg2rad(dip)
    return (float(np.sin(a) * np.cos(b)), float(np.cos(a) * np.cos(b)), float(-np.sin(b)))


def along(point: Point, direction: Point, by: float) -> Point:
    return (point[0] + direction[0] * by, point[1] + direction[1] * by, point[2] + direction[2] * by)


@dataclass
class Tube:
    """What was drawn of a metacarpal or phalanx; numbers of solids, None where there is no bone yet."""

    shaft: int
    epiphysis: int | None
    start: Point  # of the whole bone, in the hand's coordinates
    end: Point


def tube(
    anatomy: Anatomy,
    patient: Patient,
    frame: Frame,
    name: str,
    start: Point,
    direction: Point,
    length: float,
    half: tuple[float, float, float],
    cortex: float,
    growing: str | None,
    years: tuple[float, float] = (2, 16),
    height: float = 4.0,
) -> Tube:
    """A small tubular bone with its one growth plate at its base, at its head, or with none drawn."""
    s, plate = frame.s, 1.3
    end = along(start, direction, length)
    taken = height + plate
    low = along(start, direction, taken) if growing == "base" else start
    high = along(end, direction, -taken) if growing == "head" else end
    base, middle, head = (value * s for value in half)
    width = [base * 0.95, base * 0.35 + middle * 0.65, middle, 0.8 * middle + 0.2 * head, 0.9 * head, head * 0.95]
    depth = [0.8 * value for value in width]
    shell = [0.35 * cortex * s, 0.8 * cortex * s, cortex * s, 0.85 * cortex * s, 0.45 * cortex * s, 0.35 * cortex * s]
    caps = (1.0 * s if growing == "base" else 2.5 * s, 1.2 * s if growing == "head" else 3.2 * s)
    bow = frame.towards((0.0, 0.0, 1.0))[2] * 0.02 * length * s  # convex to the back of the hand
    first, last = frame.at(low), frame.at(high)
    middle_of = tuple((a + b) / 2 for a, b in zip(first, last, strict=True))
    path = [first, (middle_of[0], middle_of[1], middle_of[2] + bow), last]
    shaft = anatomy.bone(name, path, width, depth, shell, caps, mineral(patient), end_cortex=0.45 * cortex * s)
    epiphysis = None
    if growing is not None:
        at_base = growing == "base"
        epiphysis, _ = closing_end(
            anatomy,
            patient,
            name,
            first if at_base else last,
            frame.towards(tuple(-v for v in direction) if at_base else direction),
            ((base if at_base else head), 0.8 * (base if at_base else head)),
            height * s,
            *years,
            plate=plate * s,
            cortex=0.8 * s,
            dome=0.3 if at_base else 0.75,
        )
    return Tube(shaft, epiphysis, start, end)


def carpals(anatomy: Anatomy, patient: Patient, frame: Frame, noise: np.ndarray) -> dict[str, int | None]:
    """The eight carpal bones; `noise` (8, 4) moves and scales them."""
    numbers = {}
    for (name, (centre, half, tilt, appears, full)), own in zip(CARPALS.items(), noise.tolist(), strict=True):
        size = frame.s * (1 + 0.04 * own[0])
        numbers[name] = round_bone(
            anatomy,
            patient,
            name,
            frame.at((centre[0] + 0.4 * own[1], centre[1] + 0.4 * own[2], centre[2])),
            tuple(value * size for value in half),
            appears,
            full,
            tilt=(-1 if frame.turned else 1) * (tilt + 4 * own[3]),
            cortex=0.9 * frame.s,
        )
    return numbers


RADIUS_TOP = (-9.5, -9.5, 0.0)  # where the metaphyses end
ULNA_TOP = (15.0, -9.5, 3.0)


def forearm_epiphyses(anatomy: Anatomy, patient: Patient, frame: Frame, noise: np.ndarray) -> tuple[int | None, Point]:
    """Those of the distal radius and ulna; the radius's number, and the top of the ulna's shaft."""
    s, wide = frame.s, 1 + 0.04 * float(noise[0])
    slope = np.deg2rad(5 + 2 * float(noise[1]))  # the styloid reaches further than the side at the ulna
    face = frame.towards((float(np.sin(slope)), float(np.cos(slope)), 0.0))
    number, _ = closing_end(
        anatomy,
        patient,
        "radius epiphysis",
        frame.at(RADIUS_TOP),
        face,
        (15 * wide * s, 10 * s),
        7.5 * s,
        1,
        17.5,
        plate=1.8 * s,
        cortex=0.9 * s,
        dome=0.3,
    )
    ulna_top = (ULNA_TOP[0], ULNA_TOP[1] + 1.2 * float(noise[2]), ULNA_TOP[2])  # ulnar variance
    closing_end(
        anatomy,
        patient,
        "ulna epiphysis",
        frame.at(ulna_top),
        frame.towards((-0.05, 0.998, 0.0)),
        (7.9 * s, 7.4 * s),
        5.5 * s,
        6.5,
        17.5,
        plate=1.6 * s,
        cortex=0.9 * s,
        dome=0.4,
    )
    return number, ulna_top


def forearm_ends(anatomy: Anatomy, patient: Patient, frame: Frame, noise: np.ndarray, length: float):
    """Distal radius and ulna, `length` mm of them; the radius, its epiphysis, and the ulna."""
    s, wide = frame.s, 1 + 0.04 * float(noise[0])
    number, ulna_top = forearm_epiphyses(anatomy, patient, frame, noise)
    radius = long_bone(
        anatomy,
        patient,
        "radius",
        frame.at(RADIUS_TOP),
        frame.at((-7.5, RADIUS_TOP[1] - length, 0)),
        (14.5 * wide * s, 7.6 * s, 7.2 * s),
        2.6 * s,
        flatness=0.72,
        caps=(1.6 * s, 0),
        bow=(-1.5 * s, 0),
    )
    ulna = long_bone(
        anatomy,
        patient,
        "ulna",
        frame.at(ulna_top),
        frame.at((13.5, ulna_top[1] - length, 2)),
        (7.2 * s, 5.6 * s, 6.4 * s),
        2.2 * s,
        caps=(1.4 * s, 0),
        bow=(1.0 * s, 0),
    )
    return radius, number, ulna


def metacarpal(
    anatomy: Anatomy, patient: Patient, frame: Frame, ray: int, lean: float, name: str, plain=False
) -> Tube:
    one = RAYS[ray]
    half = (0.98 * one.half, 0.55 * one.half, 0.86 * one.half)
    years, growing = ((2.5, 15.8), "base") if ray == 0 else ((1.9 + 0.1 * ray, 16.2), "head")
    return tube(
        anatomy,
        patient,
        frame,
        name,
        one.base,
        heading(one.lean + lean, one.dip),
        one.lengths[0],
        half,
        2.0,
        None if plain else growing,
        years,
        4.5 if ray == 0 else 9.0,
    )


def phalanges(anatomy, patient, frame, ray, start, lean, dips, names, noise, gap):
    """The phalanges of a ray from the knuckle on; the tubes, and the points that the flesh follows."""
    one = RAYS[ray]
    tubes, points = [], [start]
    place, dip = along(start, heading(lean, dips[0]), gap[0]), 0.0
    last = len(one.lengths) - 2
    for row, (length, name) in enumerate(zip(one.lengths[1:], names, strict=True)):
        dip += dips[row]
        direction = heading(lean + 2.0 * float(noise[row]), dip)
        tip = row == last
        shrink = 0.8 if tip else (1.0, 0.88)[row]
        base = one.half * shrink
        half = (base, (0.42 if tip else 0.58) * base, (0.52 if tip else 0.7) * base)
        years = ((1.9, 16.0), (2.3, 16.0), (2.4, 15.5))[2 if tip else row]
        drawn = tube(
            anatomy,
            patient,
            frame,
            name,
            place,
            direction,
            length * (1 + 0.02 * float(noise[row])),
            half,
            1.2 if tip else 1.7,
            "base",
            years,
            3.4 if tip else 4.2,
        )
        tubes.append(drawn)
        if row:
            points.append(along(drawn.start, direction, -0.5 * gap[1]))
        place = along(drawn.end, direction, gap[1])
    points.append(along(tubes[-1].end, direction, 4.5))
    return tubes, points
