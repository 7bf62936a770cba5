"""Phantom wrists in the layout of GRAZPEDWRI-DX, with the bone masks that were published for it as CVAT 1.1 XML."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from .dicom import hashed
from .film import Exposure
from .official_tree import Box, box_of, drawn, save_16_bit, write_table
from .records import Finding, Study
from .render import Film, build_anatomy, expose, project_film
from .study import Clinic

COLUMNS = (
    "filestem", "patient_id", "study_number", "timehash", "gender", "age", "laterality", "projection", "initial_exam",
    "ao_classification", "cast", "diagnosis_uncertain", "osteopenia", "fracture_visible", "metal", "pixel_spacing",
    "device_manufacturer",
)  # fmt: skip
PARTS = 4  # images_part1 to images_part4, by patient
PROJECTIONS = {"PA": 1, "lateral": 2}  # 3 is oblique
# Fracture and text are what they are there; the others are the class that fits a phantom's finding best.
YOLO_CLASS_OF = {"bony change": 0, "erosion": 1, "fracture": 3, "soft tissue swelling": 7}
YOLO_TEXT = 8
OSTEOPENIA = "inflammation"  # takes mineral from the bone
UNCERTAIN_BELOW = 0.45  # severity of a fracture that a reader may doubt
# AO's paediatric codes, of one bone: metaphysis, buckled or broken through, and epiphysis
AO_KINDS = {"buckle": "M/2.1", "greenstick": "M/2.1", "Salter-Harris II": "E/2.1"}
AO_BONES = {"distal radius": "23r", "distal ulna": "23u"}

MASK_FILES = ("train1", "val", "test", "train2")  # patients take turns
NUMERALS = {"first": "I", "second": "II", "third": "III", "fourth": "IV", "fifth": "V"}
ANATOMY = {
    "radius": "Radius",
    "ulna": "Ulna",
    "scaphoid": "Os scaphoideum",
    "lunate": "Os lunatum",
    "triquetrum": "Os triquetrum",
    "pisiform": "Os pisiforme",
    "trapezium": "Os trapezium",
    "trapezoid": "Os trapezoideum",
    "capitate": "Os capitatum",
    "hamate": "Os hamatum",
    **{f"{ordinal} metacarpal": f"Ossa metacarpalia {numeral}" for ordinal, numeral in NUMERALS.items()},
    "radius epiphysis": "Epiphyse Radius",
    "ulna epiphysis": "Epiphyse Ulna",
    # beyond the 17 classes of the published masks, which have them too
    **{f"{ordinal} proximal phalanx": f"Phalanx proximalis {numeral}" for ordinal, numeral in NUMERALS.items()},
}
CLINIC = Clinic(parts={"wrist": 1.0}, exams=(1.0,), findings=(0.3, 0.5, 0.2), second_study=0.3)


@dataclass(frozen=True)
class WristFilm:
    """One film, its name and what is on it."""

    study: Study
    visit: int
    patient: int
    film: Film
    exposure: Exposure

    @property
    def timehash(self) -> int:
        return int(hashed("timehash", self.study.study_id, self.film.view), 16) % 2**31

    @property
    def stem(self) -> str:
        """0001_1297860395_01_WRI-L1_M014, as the data set's own."""
        child, exam = self.study.patient, self.study.exams[0]
        where = f"WRI-{str(exam.laterality)[0].upper()}{PROJECTIONS[self.film.view]}"
        who = f"{child.sex[0].upper()}{child.age_months // 12:03d}"
        return f"{self.patient:04d}_{self.timehash:010d}_{self.visit:02d}_{where}_{who}"

    def row(self) -> list:
        child, exam = self.study.patient, self.study.exams[0]
        found = {finding.name: finding for finding in exam.findings}
        fracture = found.get("fracture")
        return [
            self.stem,
            self.patient,
            self.visit,
            self.timehash,
            child.sex[0].upper(),
            f"{child.age_months / 12:.1f}".removesuffix(".0"),
            str(exam.laterality)[0].upper(),
            PROJECTIONS[self.film.view],
            _flag(self.visit == 1),
            ao_code(fracture) if fracture else "",
            "",  # the phantom wears no cast
            _flag(fracture is not None and fracture.severity < UNCERTAIN_BELOW),
            _flag(OSTEOPENIA in found),
            _flag(fracture is not None),
            "",  # and has no metal
            f"{self.film.mm_per_pixel:.3f}",
            "PHANTOM",
        ]

    def boxes(self) -> list[str]:
        """Lines of a YOLO file: class, centre, width and height as shares of the film."""
        side = self.film.pixels.shape[0]
        found = [(number, box_of(self.film.marks.get(name))) for name, number in YOLO_CLASS_OF.items()]
        found.append((YOLO_TEXT, _marker_box(self.exposure, side)))
        return [_yolo_line(number, box, side) for number, box in found if box is not None]


def write_grazpedwri_dx(new: Path, patients: int, seed: int, side: int, clinic: Clinic = CLINIC) -> int:
    """images_part1 to 4, dataset.csv, folder_structure/yolov5/labels and cvat_annotation_xml."""
    labels = new / "folder_structure" / "yolov5" / "labels"
    for folder in (labels, new / "cvat_annotation_xml", *(new / f"images_part{part + 1}" for part in range(PARTS))):
        folder.mkdir(parents=True)
    rows = []
    masks: dict[str, ElementTree.Element] = {name: _annotations(name) for name in MASK_FILES}
    for one in wrist_films(patients, seed, side, clinic):
        rows.append(one.row())
        part = (one.patient - 1) * PARTS // patients + 1
        save_16_bit(one.film, new / f"images_part{part}" / f"{one.stem}.png")
        (labels / f"{one.stem}.txt").write_text("".join(line + "\n" for line in one.boxes()), encoding="utf-8")
        _annotate(masks[MASK_FILES[(one.patient - 1) % len(MASK_FILES)]], one)
    write_table(new / "dataset.csv", COLUMNS, sorted(rows), excel=True)
    for name, root in masks.items():
        ElementTree.indent(root)
        text = ElementTree.tostring(root, encoding="unicode")
        path = new / "cvat_annotation_xml" / f"annotations_{name}.xml"
        path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n', encoding="utf-8")
    return len(rows)


def wrist_films(patients: int, seed: int, side: int, clinic: Clinic = CLINIC) -> Iterator[WristFilm]:
    for number, study in drawn(patients, seed, clinic):
        visit = int(study.study_id.rsplit("-", 1)[1])
        exam = study.exams[0]
        anatomy = build_anatomy(study.patient, exam, study.seed)
        for view in exam.views:
            # what `render` does, which keeps the exposure and so the side marker's place to itself
            seen, exposure = project_film(study, exam, view, anatomy, side, masks=True)
            pixels = expose(seen.depth, seen.soft_mm, exposure)
            film = Film(pixels, seen.masks, seen.marks, seen.mm_per_pixel, view, exposure.dose)
            yield WristFilm(study, visit, number + 1, film, exposure)


def ao_code(fracture: Finding) -> str:
    """Of a phantom's fracture; every one of the wrist's is close to the joint, so none is diaphyseal (22)."""
    return f"{AO_BONES[fracture.place]}-{AO_KINDS.get(str(fracture.kind), 'M/3.1')}"


def _flag(is_so: bool) -> str:
    return "1" if is_so else ""


def _marker_box(exposure: Exposure, side: int) -> Box | None:
    """Round the side marker, with some room, as annotators draw it."""
    if exposure.marker is None:
        return None
    _, x, y, share = exposure.marker
    half = 0.6 * max(share * side, 5.0)  # the renderer's smallest letter has 5 pixels
    left, top, right, bottom = (
        min(max(round(place * side + half * sign), 0), side) for sign in (-1, 1) for place in (x, y)
    )
    return left, top, right, bottom


def _yolo_line(number: int, box: Box, side: int) -> str:
    left, top, right, bottom = (edge / side for edge in box)
    return f"{number} {(left + right) / 2:.6f} {(top + bottom) / 2:.6f} {right - left:.6f} {bottom - top:.6f}"


# ---- bone masks, as CVAT for images 1.1


def _annotations(name: str) -> ElementTree.Element:
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    ElementTree.SubElement(task, "name").text = f"PHANTOM {name}"
    label = ElementTree.SubElement(ElementTree.SubElement(task, "labels"), "label")
    ElementTree.SubElement(label, "name").text = "Knochen"
    attribute = ElementTree.SubElement(ElementTree.SubElement(label, "attributes"), "attribute")
    ElementTree.SubElement(attribute, "name").text = "Anatomie"
    ElementTree.SubElement(attribute, "values").text = "\n".join(["Sonstiges", *ANATOMY.values()])
    return root


def _annotate(root: ElementTree.Element, one: WristFilm) -> None:
    height, width = one.film.pixels.shape
    number = len(root.findall("image"))
    image = ElementTree.SubElement(
        root, "image", id=str(number), name=f"{one.stem}.png", width=str(width), height=str(height)
    )
    for bone, mask in one.film.bones.items():
        if bone not in ANATOMY or not mask.any():
            continue
        points = None if ANATOMY[bone].startswith("Os ") else _outline(mask)  # the published files mix both, too
        given = _run_lengths(mask) if points is None else {"points": points}
        kind = "mask" if points is None else "polygon"
        shape = ElementTree.SubElement(image, kind, {"label": "Knochen", "source": "manual", "occluded": "0", **given})
        shape.set("z_order", "0")
        ElementTree.SubElement(shape, "attribute", name="Anatomie").text = ANATOMY[bone]


def _outline(mask: np.ndarray) -> str | None:
    """The outline along the pixels' edges: down its left side and up its right. None where a row has a gap."""
    rows = np.flatnonzero(mask.any(1))
    left, right = [], []
    for row in range(int(rows[0]), int(rows[-1]) + 1):
        columns = np.flatnonzero(mask[row])
        if not len(columns) or columns[-1] - columns[0] + 1 != len(columns):
            return None
        for edge in (row, row + 1):
            left.append((int(columns[0]), edge))
            right.append((int(columns[-1]) + 1, edge))
    return ";".join(f"{x:.2f},{y:.2f}" for x, y in dict.fromkeys([*left, *reversed(right)]))


def _run_lengths(mask: np.ndarray) -> dict[str, str]:
    """Lengths of runs along the rows of the mask's box, background first; 0 if the corner is bone."""
    left, top, right, bottom = box_of(mask) or (0, 0, 0, 0)
    flat = mask[top:bottom, left:right].ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = [0, *([0] if flat[0] else []), *changes.tolist(), len(flat)]
    return {
        "rle": ", ".join(str(end - start) for start, end in pairwise(edges)),
        "left": str(left),
        "top": str(top),
        "width": str(right - left),
        "height": str(bottom - top),
    }
