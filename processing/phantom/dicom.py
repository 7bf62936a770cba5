"""Phantom films as DICOM files: the tags of a real department's, and no date or number that could vary."""

import csv
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .film import WHITE
from .folder import whole_or_not
from .records import Study
from .render import SIDE, Film
from .rows import films_of

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

# Body Part Examined (0018,0015): terms of PS3.16 Annex L. LEG is anatomy's leg: what lies between knee and ankle.
BODY_PART_TERMS = {
    "abdomen": "ABDOMEN",
    "ankle": "ANKLE",
    "cervical_spine": "CSPINE",
    "chest": "CHEST",
    "clavicle": "CLAVICLE",
    "elbow": "ELBOW",
    "face": "FACE",
    "femur": "FEMUR",
    "finger": "FINGER",
    "foot": "FOOT",
    "forearm": "FOREARM",
    "hand": "HAND",
    "hip": "HIP",
    "humerus": "HUMERUS",
    "knee": "KNEE",
    "lower_leg": "LEG",
    "lumbar_spine": "LSPINE",
    "pelvis": "PELVIS",
    "shoulder": "SHOULDER",
    "skull": "SKULL",
    "thoracic_spine": "TSPINE",
    "whole_spine": "SPINE",
    "wrist": "WRIST",
}
# View Position (0018,5101), after the side; the trunk is filmed with its left side to the detector. Views that have no
# term of their own, such as the mortise, leave it empty, and many a real device leaves it empty always.
VIEW_TERMS = {
    "AP": {"left": "AP", "right": "AP", None: "AP"},
    "PA": {"left": "PA", "right": "PA", None: "PA"},
    "lateral": {"left": "LL", "right": "RL", None: "LL"},
    "oblique": {"left": "LLO", "right": "RLO", None: "LLO"},
}
INVERTED_ONE_IN = 3  # of the studies are MONOCHROME1, as from a reader that stores film density
SERIES = "PHANTOM: generated, not a patient"
_WRITER = "PEDCLIP_PHANTOM"


def write_dicom(folder: Path, studies: Iterable[Study], *, side: int = SIDE) -> int:
    """folder/<patient>/<study>/<exam>_<view>.dcm and reports.csv, whole or not at all; returns the number of films."""
    _pydicom()
    films = 0
    with new_folder(folder) as new, open(new / "reports.csv", "w", encoding="utf-8", newline="") as reports:
        table = csv.writer(reports, lineterminator="\n")
        table.writerow(["study_id", "patient_id", "body_parts", "report"])
        for study in studies:
            parts = "|".join(dict.fromkeys(exam.body_part for exam in study.exams))
            table.writerow([study.study_id, study.patient.patient_id, parts, study.report.text])
            where = new / study.patient.patient_id / study.study_id
            where.mkdir(parents=True)
            numbers = [number for number, exam in enumerate(study.exams) for _ in exam.views]
            for number, (_, film) in zip(numbers, films_of(study, side=side), strict=True):
                name = f"{study.exams[number].name}_{film.view}".replace(" ", "_")
                film_as_dicom(study, number, film).save_as(where / f"{name}.dcm", enforce_file_format=True)
                films += 1
    return films


@contextmanager
def new_folder(folder: Path | str) -> Iterator[Path]:
    """A folder that takes its name when all is written; one that holds something is refused before the first film."""
    out = Path(folder).absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} holds something already; name another folder, or remove it first")
    with whole_or_not(out) as new:
        yield new


def film_as_dicom(study: Study, number: int, film: Film, *, inverted: bool | None = None) -> "FileDataset":
    """One film of exam `number`, 12 bits in 16. Which studies are `inverted` (MONOCHROME1) follows from their name."""
    pydicom = _pydicom()
    exam, patient = study.exams[number], study.patient
    if inverted is None:
        inverted = int(hashed("inverted", study.study_id), 16) % INVERTED_ONE_IN == 0
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = _uid(study.study_id, exam.name, film.view)
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid(_WRITER)  # pydicom would put its own, and its version, here
    meta.ImplementationVersionName = _WRITER

    one = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID = meta.MediaStorageSOPClassUID
    one.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    one.StudyInstanceUID = _uid(study.study_id)
    one.SeriesInstanceUID = _uid(study.study_id, exam.name)
    one.SeriesNumber = number + 1
    one.InstanceNumber = exam.views.index(film.view) + 1
    one.Modality = "DX"
    one.ImageType = ["DERIVED", "PRIMARY", ""]
    one.Manufacturer = "PedCLIP phantom"
    one.StudyDescription = "XR " + ", ".join(each.name for each in study.exams)
    one.SeriesDescription = SERIES
    # what the standard wants present and a phantom has none of
    for keyword in ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        setattr(one, keyword, "")
    one.PatientBirthDate = one.PatientOrientation = ""

    one.PatientID = patient.patient_id
    one.PatientName = f"PHANTOM^{patient.patient_id.removeprefix('phantom-')}"
    one.PatientSex = patient.sex[0].upper()
    one.PatientAge = age_string(patient.age_months)

    one.BodyPartExamined = BODY_PART_TERMS[exam.body_part]
    one.ViewPosition = VIEW_TERMS.get(film.view, {}).get(exam.laterality, "")
    side = exam.laterality[0].upper() if exam.laterality else ""
    one.ImageLaterality = side or "U"  # unpaired
    one.Laterality = side

    one.SamplesPerPixel = 1
    one.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    one.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    one.PixelIntensityRelationship = "LOG"
    one.PixelIntensityRelationshipSign = 1 if inverted else -1
    one.Rows, one.Columns = film.pixels.shape
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    one.WindowCenter, one.WindowWidth = "2048", "4096"
    one.RescaleIntercept, one.RescaleSlope, one.RescaleType = "0", "1", "US"
    one.ImagerPixelSpacing = [f"{film.mm_per_pixel:.4f}"] * 2
    one.PresentationIntentType = "FOR PRESENTATION"
    one.BurnedInAnnotation = "NO"
    one.LossyImageCompression = "00"
    pixels = WHITE - film.pixels if inverted else film.pixels
    one.PixelData = pixels.astype("<u2").tobytes()
    return one


def age_string(months: int) -> str:
    """Patient's Age as devices write it: days of a newborn, then months to the second birthday, then years.

    A phantom's age is known to the month, so a newborn is taken to be in the middle of one.
    """
    if months < 3:
        return f"{30 * months + 15:03d}D"
    return f"{months:03d}M" if months < 24 else f"{months // 12:03d}Y"


def hashed(*names: str) -> str:
    """32 hexadecimal digits that look drawn and are the same for the same names."""
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:32]


def _uid(*names: str) -> str:
    """A UID under 2.25, the root for which nobody has to register."""
    return f"2.25.{int(hashed(*names), 16)}"


def _pydicom():
    try:
        import pydicom
        import pydicom.dataset
        import pydicom.uid
    except ImportError as error:
        raise ImportError("DICOM files need pydicom; install it with: pip install 'pedclip[dicom]'") from error
    return pydicom
