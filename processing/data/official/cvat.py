"""Bone masks in CVAT's XML ("CVAT for images 1.1"): polygons and run lengths, drawn when asked for."""

# Shapes: H height, W width
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ..sample import Mask

MOST_BYTES = 256 * 2**20
MOST_PIXELS = 50_000_000


def parse_xml(content: bytes, name: str) -> ElementTree.Element:
    """XML without a document type: entities are how a small file becomes a large one, or reads another."""
    if len(content) > MOST_BYTES:
        raise ValueError(f"{name} has {len(content)} bytes; at most {MOST_BYTES} are read")
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError(f"{name} declares a document type or entities, which no such file needs; it is not read")
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f"{name} is not XML: {error}") from error


def read_masks(path: Path, attribute: str, wanted: frozenset[str]) -> dict[str, tuple[Mask, ...]]:
    """{image's name: its masks}, of the shapes whose `attribute` is one of `wanted`. Shapes of one name are joined."""
    found = {}
    for image in parse_xml(path.read_bytes(), path.name).iter("image"):
        width, height = (int(image.get(side, "0")) for side in ("width", "height"))
        if width < 1 or height < 1 or width * height > MOST_PIXELS:
            raise ValueError(f"{path.name}: {image.get('name')} is said to have {width} x {height} pixels")
        shapes: dict[str, list[ElementTree.Element]] = {}
        for shape in image:
            if shape.tag in ("polygon", "mask"):
                values = (each.text or "" for each in shape.iter("attribute") if each.get("name") == attribute)
                label = next(values, "").strip()
                if label in wanted:
                    shapes.setdefault(label, []).append(shape)
        found[image.get("name", "")] = tuple(
            Mask(label, partial(_drawn, tuple(_as_data(one, path) for one in of_label), height, width))
            for label, of_label in shapes.items()
        )
    return found


def _as_data(shape: ElementTree.Element, path: Path) -> tuple[str, list[float], tuple[int, ...]]:
    """Numbers alone, so that no XML tree stays in memory."""
    try:
        if shape.tag == "polygon":
            numbers = [float(part) for point in shape.attrib["points"].split(";") for part in point.split(",")]
            return "polygon", numbers, ()
        box = tuple(int(float(shape.attrib[name])) for name in ("left", "top", "width", "height"))
        return "mask", [float(part) for part in shape.attrib["rle"].split(",")], box
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path.name} has a {shape.tag} that cannot be read: {error}") from error


def _drawn(shapes: tuple[tuple[str, list[float], tuple[int, ...]], ...], height: int, width: int) -> np.ndarray:
    """All shapes of one label, (H, W) bool."""
    whole = np.zeros((height, width), bool)
    for kind, numbers, box in shapes:
        if kind == "polygon":
            whole |= draw_polygon(np.array(numbers).reshape(-1, 2), height, width)
        else:
            whole |= draw_runs(numbers, box, height, width)
    return whole


def draw_polygon(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels whose centre lies inside a closed line through `points` (N, 2) of x, y; even-odd rule."""
    inside = np.zeros((height, width), bool)
    centres = np.arange(width) + 0.5
    starts, ends = points, np.roll(points, -1, axis=0)
    for row in range(max(int(points[:, 1].min()), 0), min(int(np.ceil(points[:, 1].max())), height)):
        y = row + 0.5
        crossed = (starts[:, 1] <= y) != (ends[:, 1] <= y)
        if crossed.any():
            one, other = starts[crossed], ends[crossed]
            places = one[:, 0] + (y - one[:, 1]) / (other[:, 1] - one[:, 1]) * (other[:, 0] - one[:, 0])
            inside[row] = (np.searchsorted(np.sort(places), centres, side="right") % 2).astype(bool)
    return inside


def draw_runs(lengths: list[float], box: tuple[int, ...], height: int, width: int) -> np.ndarray:
    """Run lengths along the rows of a box (left, top, width, height), background first."""
    left, top, across, down = box
    runs = np.array(lengths, np.int64)
    if across < 1 or down < 1 or runs.min() < 0 or runs.sum() != across * down:
        raise ValueError(f"a mask of {across} x {down} pixels has run lengths for {int(runs.sum())}")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(down, across)
    whole = np.zeros((height, width), bool)
    first_row, first_column = max(top, 0), max(left, 0)
    part = values[first_row - top : height - top, first_column - left : width - left]
    whole[first_row : first_row + part.shape[0], first_column : first_column + part.shape[1]] = part
    return whole
