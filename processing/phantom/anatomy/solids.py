"""The one shape that everything is made of, and the list of them that makes a body part.

A solid is an ellipse swept along a path: its half-width (across the path, in the frontal plane) and half-depth
(towards the beam) may change along the path, and its ends are rounded over a given length. A straight one rounded over
half its length at both ends is an ellipsoid. Such a solid's path length for a parallel beam has a closed form
(processing/phantom/sweep.py), so nothing is voxelised.

Coordinates are millimetres of a right-sided part seen from the front: x to the right of the picture, y down the
picture, z along the beam. The left side is the mirror image.
"""

# Shapes: K points of a path as given
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..records import Finding, Patient

Point = tuple[float, float, float]
Profile = float | Sequence[float]  # one value, or values at equal steps along the path


@dataclass
class Solid:
    """One swept ellipse. `mineral` scales the difference to what surrounds it."""

    path: tuple[Point, ...]
    width: Profile  # half
    depth: Profile  # half
    caps: tuple[float, float]  # lengths over which the ends are rounded; 0 is a flat end
    material: str
    within: str  # the material that it takes the place of
    cortex: Profile | None = None  # thickness of a shell; its inside is `marrow`
    marrow: str = "marrow"
    mineral: float = 1.0
    bone: str | None = None  # name of the bone whose mask it belongs to
    end_cortex: float | None = None  # of the shell at the two ends, where it differs from the sides


@dataclass
class Joint:
    """Where two bones meet. `faces`: (number of the solid, 0 for its start or 1 for its end) on either side."""

    name: str
    centre: Point
    width: float  # half, across the picture
    depth: float  # half, along the beam
    gap: float  # mm of joint space
    faces: tuple[tuple[int, int], ...]
    axis: tuple[float, float] = (0.0, 1.0)  # from one bone to the other, in the frontal plane


@dataclass
class FractureSite:
    """A stretch of a bone that may break: `solid` between `low` and `high`, shares of its length."""

    place: str
    solid: int
    low: float
    high: float
    physis: bool = False  # beside a growth plate, so that a Salter-Harris fracture may be there


@dataclass
class Break:
    """A fracture of one solid, drawn by the projection."""

    solid: int
    at: float  # share of its length
    slope: float  # of the line: its run along the bone for one unit across
    width: float  # mm of the gap
    depth: float  # share of bone that the gap removes, 0 to 1
    reach: tuple[float, float]  # how far across the bone the line goes, from -1 to 1
    step: Point  # mm by which the far side is displaced
    bulge: float  # of the cortex, share of its width
    spread: float  # mm along the bone over which step and bulge die out
    waves: Sequence[float] = (0.0, 0.0, 0.0)  # mm and phase of the line's raggedness


@dataclass
class Anatomy:
    """A body part of one patient, built by the part's own function."""

    extent: tuple[float, float]  # mm: width and height of what the film should show
    energy: float = 50.0  # keV, effective
    solids: list[Solid] = field(default_factory=list)
    skin: list[Solid] = field(default_factory=list)  # outer boundary: fat down to muscle
    muscle: list[Solid] = field(default_factory=list)
    joints: dict[str, Joint] = field(default_factory=dict)
    sites: dict[str, FractureSite] = field(default_factory=dict)
    breaks: list[Break] = field(default_factory=list)
    zones: dict[str, int] = field(default_factory=dict)  # named solids that findings of the chest look for
    # solids that stand for a finding or are changed by it; their outline is the finding's mask
    marks: list[tuple[str, Solid]] = field(default_factory=list)

    def flesh(self, path: Sequence[Point], width: Profile, depth: Profile, caps=(0.0, 0.0), skin: float = 4.0):
        """Muscle with a layer of fat `skin` mm thick round it. Several are united, not added."""
        self.muscle.append(Solid(tuple(path), width, depth, tuple(caps), "soft", "air"))
        outer = [_thicker(width, skin), _thicker(depth, skin)]
        self.skin.append(Solid(tuple(path), *outer, tuple(cap + skin if cap else 0.0 for cap in caps), "fat", "air"))

    def bone(
        self,
        name: str,
        path: Sequence[Point],
        width: Profile,
        depth: Profile,
        cortex: Profile,
        caps=(2.0, 2.0),
        mineral: float = 1.0,
        end_cortex: float | None = None,
    ) -> int:
        """A bone, or a part of one, with a cortex `cortex` mm thick round its marrow; returns its number."""
        solid = Solid(tuple(path), width, depth, tuple(caps), "bone", "soft", cortex, mineral=mineral, bone=name)
        solid.end_cortex = end_cortex
        return self.add(solid)

    def organ(
        self,
        material: str,
        path: Sequence[Point],
        width: Profile,
        depth: Profile,
        caps=(0.0, 0.0),
        within: str = "soft",
        share: float = 1.0,
    ) -> int:
        """A solid of one material in place of `within`; `share` of it, where the two are mixed."""
        return self.add(Solid(tuple(path), width, depth, tuple(caps), material, within, mineral=share))

    def add(self, solid: Solid) -> int:
        self.solids.append(solid)
        return len(self.solids) - 1

    def joint(self, name, centre, width, depth, gap, faces, axis=(0.0, 1.0)):
        self.joints[name] = Joint(name, centre, width, depth, gap, tuple(faces), axis)

    def may_break(self, place: str, solid: int, low: float, high: float, physis: bool = False):
        self.sites[place] = FractureSite(place, solid, low, high, physis)


def ball(centre: Point, half: tuple[float, float, float], tilt: float = 0.0) -> dict:
    """Path, width, depth and caps of an ellipsoid: half-axes along x, y, z, turned by `tilt` degrees in the picture.

    Use it as `anatomy.organ("soft", **ball(...))`.
    """
    turn = np.deg2rad(tilt)
    along = (-np.sin(turn) * half[1], np.cos(turn) * half[1])
    ends = [(centre[0] + sign * along[0], centre[1] + sign * along[1], centre[2]) for sign in (-1, 1)]
    return dict(path=tuple(ends), width=half[0], depth=half[2], caps=(half[1], half[1]))


@dataclass
class Shape:
    """What makes this anatomy itself: its own variation, and the findings that are matters of shape.

    A builder draws the same numbers whatever the findings are, or else a normal twin would be somebody else.
    """

    patient: Patient
    random: np.random.Generator
    findings: Mapping[str, Finding] = field(default_factory=dict)

    def vary(self, spread: float = 0.05) -> float:
        """A factor about 1, at most 2.5 spreads away."""
        return 1 + spread * float(np.clip(self.random.normal(), -2.5, 2.5))

    def offset(self, spread: float) -> float:
        """A number about 0, at most 2.5 spreads away."""
        return spread * float(np.clip(self.random.normal(), -2.5, 2.5))

    def severity(self, finding: str) -> float:
        """0 where it is absent."""
        return self.findings[finding].severity if finding in self.findings else 0.0


def _thicker(profile: Profile, by: float) -> Profile:
    return profile + by if isinstance(profile, int | float) else [value + by for value in profile]


def draws(shape: Shape, *size: int) -> np.ndarray:
    """Random numbers about 0 with a deviation of 1, drawn together for speed."""
    return np.clip(shape.random.normal(size=size), -2.5, 2.5)
