"""Long bones with their growth plates, from a few measures of the adult."""

import numpy as np

from ..growth import mineral, ossification
from ..records import Patient
from .solids import Anatomy, Point


def long_bone(
    anatomy: Anatomy,
    patient: Patient,
    name: str,
    start: Point,
    end: Point,
    radii: tuple[float, float, float],
    cortex: float,
    bow: tuple[float, float] = (0.0, 0.0),
    flatness: float = 1.0,
    caps: tuple[float, float] = (3.0, 3.0),
) -> int:
    """A shaft: half-widths at start, middle and end; `bow` moves its middle along x and z; depth is width x flatness.

    The cortex is thickest in the middle and thin at the metaphyses, as it is in children. Returns the solid's number.
    """
    first, middle, last = radii
    points = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        arc = 4 * share * (1 - share)
        here = [a + (b - a) * share for a, b in zip(start, end, strict=True)]
        points.append((here[0] + bow[0] * arc, here[1], here[2] + bow[1] * arc))
    width = [
        first,
        first * 0.72 + middle * 0.28,
        middle * 1.02,
        middle,
        middle * 1.02,
        last * 0.72 + middle * 0.28,
        last,
    ]
    depth = [value * flatness for value in width]
    shell = [0.25 * cortex, 0.6 * cortex, cortex, cortex, cortex, 0.6 * cortex, 0.25 * cortex]
    return anatomy.bone(name, points, width, depth, shell, caps, mineral(patient), end_cortex=0.35 * cortex)


def growing_end(
    anatomy: Anatomy,
    patient: Patient,
    name: str,
    shaft_end: Point,
    towards: tuple[float, float, float],
    half: tuple[float, float],
    height: float,
    appears: float,
    fuses: float,
    plate: float = 2.0,
    cortex: float = 0.9,
) -> tuple[int | None, Point]:
    """The epiphysis beyond a shaft's end, as far as this child has one; returns its number and where the joint begins.

    `half` are the adult's half-width and half-depth, `height` the adult's thickness, `towards` the unit vector to the
    joint. Cartilage shows no bone, so a young child's joint looks wide: the joint's place does not depend on the bone.
    """
    done = ossification(patient, appears, fuses)
    joint = tuple(float(a + b * (height + plate)) for a, b in zip(shaft_end, towards, strict=True))
    if done == 0.0:
        return None, joint
    gap = 0.0 if done == 1.0 else plate * (1 - 0.5 * done)
    # the centre starts as a bead in the middle of the cartilage and fills it well before the plate closes
    grown = 0.25 + 0.75 * min(done / 0.5, 1.0)
    room = height + plate - gap
    tall = room * (0.3 + 0.7 * grown)
    low = gap + (room - tall) / 2
    high = low + tall
    path = [tuple(a + b * at for a, b in zip(shaft_end, towards, strict=True)) for at in (low, (low + high) / 2, high)]
    width, depth = half[0] * grown, half[1] * grown
    rounded = 0.5 * tall * (1.2 - 0.5 * grown)
    number = anatomy.bone(
        name,
        path,
        [0.95 * width, width, 0.93 * width],
        [0.95 * depth, depth, 0.93 * depth],
        min(cortex, 0.3 * tall),
        (min(rounded, 0.5 * tall), min(rounded, 0.5 * tall)),
        mineral(patient),
    )
    return number, joint


def round_bone(
    anatomy: Anatomy,
    patient: Patient,
    name: str,
    centre: Point,
    half: tuple[float, float, float],
    appears: float,
    full: float,
    tilt: float = 0.0,
    cortex: float = 0.9,
) -> int | None:
    """A carpal, tarsal, patella and the like: an ellipsoid that ossifies from within between two of a boy's ages."""
    done = ossification(patient, appears, full)
    if done == 0.0:
        return None
    grown = 0.3 + 0.7 * done
    turn = np.deg2rad(tilt)
    along = (-np.sin(turn) * half[1] * grown, np.cos(turn) * half[1] * grown)
    path = [(centre[0] + s * along[0], centre[1] + s * along[1], centre[2]) for s in (-1, 1)]
    return anatomy.bone(
        name,
        path,
        half[0] * grown,
        half[2] * grown,
        min(cortex, 0.3 * min(half) * grown),
        (half[1] * grown, half[1] * grown),
        mineral(patient),
    )


def closing_end(
    anatomy: Anatomy,
    patient: Patient,
    name: str,
    shaft_end: Point,
    towards: tuple[float, float, float],
    half: tuple[float, float],
    height: float,
    appears: float,
    fuses: float,
    plate: float = 2.0,
    cortex: float = 0.9,
    dome: float = 0.35,
) -> tuple[int | None, Point]:
    """`growing_end` that leaves no notch once fused: the side at the plate squares up and meets the shaft.

    `dome` is the share of its height over which the side at the joint is rounded.
    """
    number, joint = growing_end(
        anatomy, patient, name, shaft_end, towards, half, height, appears, fuses, plate, cortex
    )
    if number is None:
        return number, joint
    done = ossification(patient, appears, fuses)
    solid = anatomy.solids[number]
    tall = float(np.linalg.norm(np.subtract(solid.path[-1], solid.path[0])))
    flat = min(done / 0.5, 1.0)
    solid.caps = (tall * (0.49 - 0.37 * flat), tall * (0.49 + (dome - 0.49) * flat))
    if done == 1.0:
        deep = tuple(float(a - b * 0.08 * height) for a, b in zip(shaft_end, towards, strict=True))
        solid.path = (deep, solid.path[1], solid.path[-1])
        solid.caps = (0.08 * height, solid.caps[1])
    return number, joint
