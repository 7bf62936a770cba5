"""What is taken from a DICOM header, and which files are set aside because a person's name may stand in the picture.

TAGS is the whole list: no other element is read into a row, and a date keeps its year alone.
"""

import re
from pathlib import Path
from typing import Any

from ...dicom_pedclip import UnreadableImageError, read_header

TAGS = {
    "BodyPartExamined": "body_part, as the device names it",
    "ImageLaterality": "laterality",
    "Laterality": "laterality, where ImageLaterality is empty",
    "ViewPosition": "view",
    "PatientAge": "age_months",
    "PatientSex": "sex",
    "StudyDate": "year: its first four digits",
    "Modality": "modality",
    "Manufacturer": "device",
    "PatientID": "patient_id, as a keyed hash",
    "StudyInstanceUID": "study_id, as a keyed hash",
}
# read to decide what is set aside, and never kept
SCREENED = ("SOPClassUID", "BurnedInAnnotation", "ConversionType", "PhotometricInterpretation", "StudyID")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds, which begin so
FILMED_MODALITIES = {"CR", "DX", "RG", "RF", "PX", "IO", "MG"}
SCREEN_CONVERSIONS = {"WSD", "DV", "DI", "DRW", "SYN", "SD", "SI"}
OLDEST = 89  # years: above it an age names its bearer
AGE = re.compile(r"(\d{1,3})([DWMY])")
MONTHS = {"D": 12 / 365.25, "W": 12 * 7 / 365.25, "M": 1.0, "Y": 12.0}
SEXES = {"f": "female", "female": "female", "m": "male", "male": "male"}


def row_of_header(path: Path) -> dict[str, Any]:
    """The kept fields of one file, with the real ids, and `set_aside`: a reason, or None. Pixels are not decoded."""
    dataset = read_header(path, (*TAGS, *SCREENED, "Rows"))
    if "Rows" not in dataset:
        raise UnreadableImageError("the DICOM file has no image: a report, a presentation state, or cut short")

    def text(keyword: str) -> str | None:
        value = dataset.get(keyword)
        return None if value is None else str(value).strip() or None

    study = text("StudyInstanceUID")
    return {
        "body_part": text("BodyPartExamined"),
        "laterality": {"L": "left", "R": "right"}.get(text("ImageLaterality") or text("Laterality") or ""),
        "view": text("ViewPosition"),
        "age_months": months_of_age(text("PatientAge")),
        "sex": SEXES.get((text("PatientSex") or "").lower()),
        "year": year_of(text("StudyDate")),
        "modality": text("Modality"),
        "device": text("Manufacturer"),
        "patient_id": text("PatientID"),
        "study_id": study or text("StudyID"),
        "report_keys": [name for name in (study, text("StudyID"), path.parent.name) if name],
        "burned_in": (text("BurnedInAnnotation") or "not stated").upper(),
        "set_aside": reason_to_set_aside({name: text(name) for name in (*SCREENED, "Modality")}),
    }


def reason_to_set_aside(fields: dict[str, str | None]) -> str | None:
    """Why a picture may show more than a patient's body, None where its header gives no reason.

    A header that says nothing about annotations is let through if its modality is one of films: CR and DX devices
    mostly leave it out. Nobody looks at the pixels here.
    """
    burned_in = (fields.get("BurnedInAnnotation") or "").upper()
    if burned_in not in ("", "NO"):
        return f"BurnedInAnnotation is {burned_in}"
    if (fields.get("SOPClassUID") or "").startswith(SECONDARY_CAPTURE):
        return "a secondary capture"
    if (fields.get("ConversionType") or "") in SCREEN_CONVERSIONS:
        return f"ConversionType is {fields['ConversionType']}: taken from a screen"
    modality = fields.get("Modality") or "none"
    if modality not in FILMED_MODALITIES and not burned_in:
        return f"modality is {modality} and BurnedInAnnotation is not stated"
    if not (fields.get("PhotometricInterpretation") or "MONOCHROME2").startswith("MONOCHROME"):
        return "in colour: a screenshot, or a document"
    return None


def months_of_age(text: str | None) -> float | None:
    """DICOM's age string in months; None where it is none, or above 89 years."""
    found = AGE.fullmatch(text or "")
    if not found:
        return None
    months = int(found[1]) * MONTHS[found[2]]
    return round(months, 2) if months <= OLDEST * 12 else None


def year_of(date: str | None) -> int | None:
    return int(date[:4]) if date and re.match(r"(19|20)\d\d", date) else None
