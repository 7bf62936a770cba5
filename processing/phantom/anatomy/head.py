"""The skull and the face. Measures are an adult's in mm, rounded from anatomy textbooks, about the sella.

The cranium grows early and the face late, so they have scales of their own: a newborn's face is an eighth of the head,
an adult's half. Sinuses: maxillary from 1 year, sphenoid from 4, frontal from 7. Eruption of teeth is textbook years.
"""

from dataclasses import dataclass

import numpy as np

from ..growth import flesh_scale, mineral
from ..records import Patient
from .part import BodyPart, View
from .solids import Anatomy, Point, Shape, Solid, ball
from .vertebrae import bones_of, column, spine_scale

NASION = 70.0  # mm in front of the sella: the point that face and cranium share

# x, z in the arch; half-width of the crown; years at which the milk tooth erupts (99: there is none), the permanent
# one's crown calcifies, and it erupts
_TEETH = (
    (4, 68, 3.6, 0.7, 1, 7),
    (11, 66, 3.1, 0.9, 1.5, 8),
    (18, 61, 3.5, 1.5, 1.5, 11),
    (24, 54, 3.6, 1.2, 3, 10.5),
    (29, 46, 4.2, 2.3, 3.5, 11.5),
    (32, 37, 5.0, 99, 0.5, 6.5),
    (34, 27, 5.0, 99, 4, 12.5),
)


@dataclass
class Head:
    """Scales and the film's origin."""

    cranium: float
    face: float
    years: float
    hard: float
    down: float  # mm by which everything moves on the film
    front: float

    def skull(self, x: float, y: float, z: float) -> Point:
        return x * self.cranium, y * self.cranium + self.down, z * self.cranium + self.front

    def visage(self, x: float, y: float, z: float) -> Point:
        return (
            x * self.face,
            y * self.face + self.down,
            NASION * (self.cranium - self.face) + z * self.face + self.front,
        )


def head_scales(patient: Patient) -> tuple[float, float]:
    """Cranium and face as shares of an adult's; the head's girth is 35 cm at birth, 46 at 1 year, 51 at 5."""
    years = patient.age_months / 12
    cranium = np.interp(years, (0, 0.5, 1, 2, 5, 10, 18), (0.63, 0.77, 0.83, 0.87, 0.91, 0.95, 1.0))
    face = np.interp(years, (0, 1, 3, 5, 10, 18), (0.48, 0.6, 0.7, 0.76, 0.87, 1.0))
    stature = (1 + 0.01 * patient.stature) * (0.97 if patient.sex == "female" else 1.0)
    return float(cranium) * stature, float(face) * stature


def _cranium(anatomy: Anatomy, shape: Shape, head: Head) -> None:
    """Vault, sutures, base. The vault is a thin shell, and a plate on either side that may break."""
    c, at, years, hard = head.cranium, head.skull, head.years, head.hard
    wide, long, thick_here, seam = shape.vary(0.04), shape.vary(0.03), shape.vary(0.1), shape.vary(0.15)
    thick = float(np.interp(years, (0, 1, 5, 10, 18), (2.4, 3.2, 4.2, 5.0, 6.0))) * thick_here
    path = [at(0, -95, -16), at(0, -50, -13), at(0, -12, -14), at(0, 38, -34)]
    width = np.array([73.0, 74, 74, 71, 66, 60]) * c * wide
    depth = np.array([90.0, 92, 92, 91, 84, 70]) * c * long
    caps = (80 * c, 30 * c)
    shell = np.array([0.58, 0.58, 0.58, 0.54, 0.38, 0.2]) * thick
    vault = Solid(tuple(path), list(width), list(depth), caps, "bone", "soft", list(shell), "soft")
    # open below, where the bones of the base are
    vault.mineral, vault.bone, vault.end_cortex = 0.95 * hard, "skull", 0.12 * thick
    anatomy.add(vault)
    top = [at(0, -85.5, 34), at(0, -91, -4), at(0, -85.5, -44)]
    anatomy.bone("skull", top, [15 * c, 24 * c, 15 * c], 0.4 * thick, 0.3 * thick, (12 * c, 12 * c), 0.6 * hard)
    parietal = []
    for side in (-1, 1):
        plate = [at(side * 36 * wide, -80, -24), at(side * 59 * wide, -57, -24), at(side * 69 * wide, -28, -24),
                 at(side * 66 * wide, 4, -24)]  # fmt: skip
        half = [0.3 * thick, 0.66 * thick, 0.7 * thick, 0.62 * thick, 0.2 * thick]
        solid = Solid(tuple(plate), half, [44 * c, 58 * c, 64 * c, 62 * c, 50 * c], (26 * c, 20 * c), "bone", "soft")
        solid.mineral, solid.bone = 1.0 * hard, "parietal bone"
        parietal.append(anatomy.add(solid))
    anatomy.may_break("parietal bone", parietal[1], 0.34, 0.72)

    # sutures: bone that is missing; wide in infants, and never quite gone in a child
    open_ = float(np.interp(years, (0, 0.5, 1.5, 6, 18), (3.0, 2.0, 1.3, 0.8, 0.45))) * seam
    cut = 1.15 * thick

    def suture(points, half, through):
        anatomy.organ("soft", points, half, through, within="bone", share=0.9 * hard)

    suture([at(0, -88, 16), at(0, -50, 22), at(0, -10, 42)], cut, open_)  # coronal: seen from the side
    suture([at(0, -62, -88), at(0, -28, -66), at(0, 14, -62)], cut, open_)  # lambdoid
    for side in (-1, 1):
        suture([at(0, -58, -92), at(side * 30, -34, -80), at(side * 56, 2, -66)], open_, cut)
    suture([at(0, -84, 10), at(0, -52, -60)], 0.9 * open_, cut)  # sagittal
    closed = min(years / 1.6, 1.0)
    fontanelle = max(16 * c * (1 - closed) * seam, 0.3)
    anatomy.organ("soft", **ball(at(0, -92, 18), (fontanelle, 4.5 * c, 1.1 * fontanelle)), within="bone",
                  share=hard * (1 - closed))  # fmt: skip

    # base of the skull: floor of the anterior fossa, sella, clivus, petrous bones
    def line(points, half, thin, name="skull", share=0.8):
        anatomy.bone(
            name, [at(*point) for point in points], half * c, thin * c, 1.2 * c, (1.5 * c, 1.5 * c), share * hard
        )

    line([(0, -10, 9), (0, -18, 36), (0, -9, 68)], 27, 1.7, share=0.36)
    line([(0, -8, 9), (0, 1, 7), (0, 5, 0), (0, 1, -7), (0, -8, -9)], 9, 1.7, share=1.3)
    line([(0, -2, -10), (0, 20, -20), (0, 38, -32)], 12, 4.0)
    line([(0, 34, -36), (0, 40, -62), (0, 28, -86)], 34, 2.2, share=0.7)
    tilt = shape.offset(4.0)
    for side in (-1, 1):
        anatomy.bone("petrous bone", [at(side * 14, 24, -8), at(side * 38, 15 + tilt, -20),
                     at(side * 62, 17 + tilt, -26)], [4 * c, 7 * c, 9 * c, 11 * c], [6 * c, 8 * c, 9 * c, 11 * c],
                     2.4 * c, (3 * c, 5 * c), 0.65 * hard)  # fmt: skip
        cells = 0.2 + 0.8 * min(years / 8, 1)  # mastoid cells
        anatomy.organ(
            "air", **ball(at(side * 58, 32, -34), (8 * c * cells, 13 * c * cells, 11 * c * cells)), share=0.5
        )
        anatomy.bone(
            "skull", [at(side * 12, 2, 36), at(side * 46, -16, 44)], 1.3 * c, 7 * c, 0.8 * c, (1, 1), 0.8 * hard
        )


def _face(anatomy: Anatomy, shape: Shape, head: Head) -> None:
    g, at, years, hard = head.face, head.visage, head.years, head.hard
    wide, round_, deep, aired = shape.vary(0.04), shape.vary(0.05), shape.vary(0.05), shape.vary(0.12)
    bend = shape.offset(2.0)  # of the septum
    orbit_scale = 0.45 * head.cranium + 0.55 * g  # eyes are large early
    # the block that orbits, sinuses and the nose are hollows of
    anatomy.bone("maxilla", [at(0, -12, 48), at(0, 66, 48)], [46 * g * wide, 50 * g * wide, 47 * g * wide,
                 34 * g * wide, 28 * g * wide], [15 * g, 19 * g, 22 * g, 21 * g, 16 * g], 0.8 * g, (16 * g, 12 * g),
                 0.6 * hard)  # fmt: skip
    for side in (-1, 1):
        o = orbit_scale * round_
        eye = (side * 32 * orbit_scale * wide, at(0, 11, 0)[1], at(0, 0, 54)[2])
        # darker than an eye is: the bone all round that a film shows bright is more than is drawn here
        anatomy.organ("air", **ball(eye, (18.5 * o, 16.5 * o, 18 * o)), within="marrow", share=0.42)
        for arch in (-1, 1):  # the rim
            edge = [(eye[0] + a * 19 * o, eye[1] + arch * b * 17 * o, eye[2] + 8 * o - abs(a) * 3 * o) for a,
                    b in ((-1, 0.1), (-0.8, 0.68), (0, 1.04), (0.8, 0.68), (1, 0.1))]  # fmt: skip
            anatomy.bone("orbit", edge, 2.0 * g, 3.4 * g, 1.0 * g, (1 * g, 1 * g), 0.7 * hard)
        full = float(np.interp(years, (0.5, 2, 8, 16), (0.12, 0.5, 0.78, 1.0))) * aired
        sinus = at(side * 27 * wide, 45 - 8 * (1 - full), 46)
        anatomy.organ("air", **ball(sinus, (14 * g * full, 17 * g * full, 17 * g * full * deep), side * -14.0),
                      within="marrow", share=0.8)  # fmt: skip
        # zygoma: its arch from the side, its body from the front
        anatomy.bone("zygoma", [at(side * 62 * wide, 34, 2), at(side * 63 * wide, 33, 24),
                     at(side * 47 * wide, 32, 50)], [2.6 * g, 3 * g, 6 * g, 8 * g], [2.2 * g, 2.5 * g, 5 * g, 6 * g],
                     1.2 * g, (2 * g, 4 * g), 0.8 * hard)  # fmt: skip
        anatomy.bone("zygoma", [at(side * 47 * wide, 30, 50), at(side * 53 * wide, 8, 45),
                     at(side * 51 * wide, -12, 48)], [6 * g, 3.6 * g, 4.5 * g], [5 * g, 3.4 * g, 4 * g], 1.3 * g,
                     (3 * g, 2 * g), 0.9 * hard)  # fmt: skip
        front = _aired(head, 7, 17)
        size = max(front * aired, 0.02)
        anatomy.organ(
            "air", **ball(at(side * 13, -14 - 8 * size, 62), (13 * g * size, 11 * g * size, 7 * g * size)), share=0.6
        )
    nose = [at(0.4 * bend, 14, 52), at(bend, 34, 54), at(0, 60, 56)]
    anatomy.organ(
        "air",
        nose,
        [5 * g, 8.5 * g, 12.5 * g, 13 * g, 10 * g],
        [22 * g, 24 * g, 25 * g, 22 * g],
        (5 * g, 4 * g),
        "marrow",
        0.75,
    )
    anatomy.organ("air", **ball(at(0, 10, 42), (11 * g, 12 * g, 20 * g)), within="marrow", share=0.5)  # ethmoid cells
    anatomy.bone("nasal septum", nose, 0.9 * g, 22 * g, 0.8 * g, (3 * g, 1 * g), 1.1 * hard)
    for side in (-1, 1):  # lower turbinates
        anatomy.organ("soft", **ball(at(side * 7, 46, 52), (3.4 * g, 7 * g, 18 * g), 0.0), within="air", share=0.6)
    anatomy.bone("nasal bone", [at(0, -4, 71), at(0, 22, 84)], 5 * g, 1.6 * g, 0.9 * g, (1 * g, 1 * g), hard)
    anatomy.bone(
        "maxilla", [at(0, 58, 16), at(0, 57, 44), at(0, 59, 74)], 20 * g, 2.2 * g, 1.2 * g, (2 * g, 2 * g), 0.7 * hard
    )
    sphenoid = max(_aired(head, 3, 12) * aired, 0.02)
    anatomy.organ("air", **ball(at(0, 15, 12), (14 * g * sphenoid, 9 * g * sphenoid, 13 * g * sphenoid)), share=0.7)


def _aired(head: Head, begins: float, full: float) -> float:
    """How far a sinus has been filled with air, 0 to 1; `begins` and `full` are years."""
    return float(np.clip((head.years - begins) / (full - begins), 0, 1))


def mandible(anatomy: Anatomy, head: Head, wide: float, angle: float) -> list[int]:
    """Two tubes from the angle to the chin, which it returns, and the rami; `angle` is mm that the angle is higher."""
    g, at, hard = head.face, head.visage, head.hard
    blunt = float(np.interp(head.years, (0, 3, 12), (9, 5, 0))) + angle  # mm: an infant's angle is open
    halves = []
    for side in (-1, 1):
        halves.append(anatomy.bone("mandible", [at(side * 46 * wide, 93 - blunt, 12),
                      at(side * 40 * wide, 97 - 0.3 * blunt, 34), at(side * 24 * wide, 103, 58),
                      at(side * 0.5, 105, 68)], [9 * g, 10.5 * g, 12 * g, 13 * g, 14 * g], [5.5 * g, 6 * g, 7 * g,
                      6.5 * g, 6 * g], 2.6 * g, (7 * g, 0.5 * g), 1.3 * hard, end_cortex=0.0,))  # fmt: skip
        anatomy.bone("mandible", [at(side * 51 * wide, 27, 2), at(side * 50 * wide, 55 - 0.5 * blunt, 7),
                     at(side * 46 * wide, 88 - blunt, 14)], [5.5 * g, 4 * g, 4.5 * g, 5 * g, 5 * g], [6 * g, 10 * g,
                     15 * g, 16 * g, 15 * g], 1.9 * g, (5 * g, 8 * g), hard)  # fmt: skip
    closed = min(head.years, 1.0)  # the halves grow together in the first year
    chin = at(0, 105.5, 67)
    anatomy.bone("mandible", [(chin[0], chin[1] - 14 * g, chin[2]), (chin[0], chin[1] + 14.5 * g, chin[2])], [9 * g,
                 10 * g, 15 * g], [5 * g, 6 * g, 7.5 * g], 2 * g, (5 * g, 7 * g), 0.45 * hard * closed)  # fmt: skip
    return halves


def teeth(anatomy: Anatomy, patient: Patient, head: Head, wide: float, early: float) -> None:
    """Crowns with their roots, and in the jaws the crowns to come. `early` is months by which this child is ahead."""
    years = head.years + early / 12
    for x, z, half, milk, calcified, permanent in _TEETH:
        erupts = permanent * (0.95 if patient.sex == "female" else 1.0)
        for upper in (True, False):
            if years >= erupts:
                _tooth(anatomy, head, upper, x * wide, z, 10.5, 20.0, half, 1.35)
                continue
            if years >= milk:
                _tooth(anatomy, head, upper, x * wide, z, 8.0, 14.0, 0.85 * half, 1.25)
            grown = min((years - calcified) / 3.0, 1.0)
            if grown > 0:  # a bud, which rises in its last two years
                rise = float(np.clip((years - (erupts - 2)) / 2, 0, 1))
                deep = (19.0 if milk < 90 else 13.0) - 8 * rise
                _tooth(anatomy, head, upper, x * wide, z, deep, 9.0, 0.95 * half * (0.45 + 0.55 * grown), 0.9)


def _tooth(
    anatomy, head: Head, upper: bool, x: float, z: float, middle: float, tall: float, half: float, dense: float
):
    """A pair of teeth, `middle` mm from the biting edge into the jaw."""
    g, edge, out, back = head.face, *((80.0, -1, 0.6) if upper else (81.0, 1, -1.0))
    half *= g
    for side in (-1, 1):
        start = head.visage(side * x, edge + out * (middle - tall / 2), z + back)
        end = head.visage(side * (x - 0.5), edge + out * (middle + tall / 2), z - 2 + back)
        anatomy.bone("teeth", [start, end], [half, 0.95 * half, 0.6 * half, 0.32 * half], [half, 0.95 * half,
                     0.62 * half, 0.4 * half], 1.9 * g, (2.5 * g, 2 * g), dense)  # fmt: skip


def head_flesh(anatomy: Anatomy, shape: Shape, head: Head, neck: float) -> None:
    """Scalp, face with the nape behind it, chin, nose; the airway."""
    c, g = head.cranium, head.face
    full = shape.vary(0.06) * flesh_scale(shape.patient) ** 0.25
    anatomy.flesh([head.skull(0, -97, -15), head.skull(0, -12, -13), head.skull(0, 42, -26)], [75 * c, 77 * c, 77 * c,
                  74 * c, 66 * c], [93 * c, 95 * c, 95 * c, 93 * c, 80 * c], (80 * c, 34 * c), 3 * c)  # fmt: skip
    cheek, nape = head.visage(0, 60, 88), head.skull(0, 40, -84)
    low = head.visage(0, 124, 0)[1]
    middle = (cheek[2] + nape[2]) / 2
    deep = (cheek[2] - nape[2]) / 2
    back = head.front - 24 * c  # the middle of the neck
    path = [(0.0, head.visage(0, -6, 0)[1], middle), (0.0, head.visage(0, 62, 0)[1], middle),
            (0.0, low - 8 * g, back + 6 * g), (0.0, low + 60 * g, back - 4 * c),
            (0.0, low + 130 * g, back - 8 * c)]  # fmt: skip
    width = [
        62 * g * full,
        68 * g * full,
        66 * g * full,
        57 * neck * full,
        54 * neck * full,
        56 * neck * full,
        62 * neck,
    ]
    depth = [0.97 * deep, 0.97 * deep, 0.9 * deep, 55 * neck, 50 * neck, 52 * neck, 56 * neck]
    anatomy.flesh(path, width, depth, (8 * g, 0.0), 4 * g)
    # a film's tone curve and its grid take out much of what soft tissue this thick absorbs and scatters
    path[0] = (0.0, head.skull(0, 27, 0)[1], middle)
    anatomy.organ("air", path, width, depth, (26 * c, 0.0), share=0.4)
    anatomy.organ("air", [head.skull(0, -86, -14), head.skull(0, -20, -13), head.skull(0, 36, -26)], [66 * c, 70 * c,
                  70 * c, 66 * c, 58 * c], [84 * c, 86 * c, 86 * c, 84 * c, 72 * c], (74 * c, 34 * c),
                  share=0.5)  # fmt: skip
    anatomy.flesh([head.visage(0, 36, 54), head.visage(0, 90, 52), head.visage(0, 124, 52)], [60 * g * full,
                  60 * g * full, 54 * g * full, 40 * g * full], [34 * g, 33 * g, 31 * g, 26 * g], (12 * g, 13 * g),
                  4 * g)  # fmt: skip
    # the nose adds to what is behind it
    anatomy.organ(
        "soft",
        [head.visage(0, 18, 78), head.visage(0, 53, 95)],
        [6 * g, 13 * g],
        [6 * g, 10 * g],
        (6 * g, 9 * g),
        "air",
    )
    anatomy.organ("air", [head.visage(0, 36, 8), head.visage(0, 78, -2), head.visage(0, 150, -2)], [11 * g, 8 * g,
                  8 * g], [7 * g, 6.5 * g, 8 * g], (5 * g, 0))  # fmt: skip


def _head(shape: Shape, extent: tuple[float, float], down: float, front: float, energy: float, spine: bool):
    patient = shape.patient
    c, g = head_scales(patient)
    c, g = c * shape.vary(0.02), g * shape.vary(0.03)
    middle = (c + g) / 2
    anatomy = Anatomy(extent=(extent[0] * middle, extent[1] * middle), energy=energy)
    head = Head(c, g, patient.age_months / 12, mineral(patient), down * g, front * c)
    wide, angle, early = shape.vary(0.04), shape.offset(2.0), shape.offset(5.0)
    t = spine_scale(patient)
    head_flesh(anatomy, shape, head, 1.05 * (t + g) / 2)
    _cranium(anatomy, shape, head)
    _face(anatomy, shape, head)
    halves = mandible(anatomy, head, wide, angle)
    teeth(anatomy, patient, head, wide, early)
    if spine:
        vertebrae = column(anatomy, shape, "C1", "C3", t)
        foramen = np.array(head.skull(0, 46, -32))
        shift = foramen - vertebrae[0].centre + np.array((0, 6 * t, 0))
        for one in vertebrae:
            one.centre = one.centre + shift
        bones_of(anatomy, patient, vertebrae, t, facets=False, rings=False)
    return anatomy, halves


def build_skull(shape: Shape) -> Anatomy:
    anatomy, _ = _head(shape, (208, 222), -14, 12, 48, spine=True)
    return anatomy


def build_face(shape: Shape) -> Anatomy:
    anatomy, halves = _head(shape, (158, 172), -52, -26, 48, spine=False)
    anatomy.sites.clear()  # the vault lies outside the film
    anatomy.may_break("body of the mandible", halves[1], 0.2, 0.7)
    return anatomy


SKULL = BodyPart(
    "skull", build_skull, (View("AP"), View("lateral", turn=90)), sided=False, fractures=("parietal bone",)
)
FACE = BodyPart(
    "face",
    build_face,
    (View("AP"), View("lateral", turn=90)),
    sided=False,
    fractures=("body of the mandible",),
)
