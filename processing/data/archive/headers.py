"""What is taken from a DICOM header, and which files are set aside because a person's name may stand in the picture.

TAGS is the whole list: no other element is read into a row. A date keeps its year, and free text is only let through
where it is one of the terms known here: people write names into any field.
"""

import re
from pathlib import Path
from typing import Any

from ...dicom_pedclip import UnreadableImageError, read_header
from ..body_parts import UnknownBodyPartError, body_part_of

TAGS = {
    "BodyPartExamined": "body_part, as the device names it, if processing/data/body_parts.yaml knows the name",
    "ImageLaterality": "laterality",
    "Laterality": "laterality, where ImageLaterality is empty",
    "ViewPosition": "view, if it is one word of letters",
    "PatientAge": "age_months",
    "PatientSex": "sex",
    "StudyDate": "year: its first four digits",
    "Modality": "modality",
    "Manufacturer": "device: the maker's name, if it is a known one",
    "PatientID": "patient_id, as a keyed hash",
    "StudyInstanceUID": "study_id, as a keyed hash",
}
# read to decide what is set aside, and never kept
SCREENED = (
    "SOPClassUID", "BurnedInAnnotation", "ConversionType", "ImageType", "PhotometricInterpretation", "StudyID",
)  # fmt: skip
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds, one number longer
FILMED_MODALITIES = {"CR", "DX", "RG", "RF", "PX", "IO", "MG"}
NOT_DIRECT = {"WSD", "DV", "DI", "DRW", "SYN", "SD", "SI", "DF"}  # a screen, a scanner, a drawing, a digitised film
MAKERS = (
    "Agfa", "Canon", "Carestream", "EOS", "Fuji", "GE", "Hologic", "Kodak", "Konica", "Philips", "Samsung", "Shimadzu",
    "Siemens", "Swissray", "Toshiba", "Vieworks", "PedCLIP phantom",
)  # fmt: skip
OLDEST = 89  # years: above it an age names its bearer
AGE = re.compile(r"(\d{1,3})([DWMY])")
MONTHS = {"D": 12 / 365.25, "W": 12 * 7 / 365.25, "M": 1.0, "Y": 12.0}
LATERALITIES = {"L": "left", "R": "right", "B": "bilateral"}
STEERING = dict.fromkeys(
    (
        *(code for code in range(0xA0) if not 0x20 <= code < 0x7F and code not in (0x09, 0x0A, 0x0D)),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        0x200E,
        0x200F,
        0x061C,
    ),
    " ",
)
SEXES = {"f": "female", "female": "female", "m": "male", "male": "male"}


def row_of_header(path: Path) -> dict[str, Any]:
    """The kept fields of one file, with the real ids, and `set_aside`: a reason, or None. Pixels are not decoded."""
    dataset = read_header(path, (*TAGS, *SCREENED, "Rows"))

    def text(keyword: str) -> str | None:
        try:
            value = dataset.get(keyword)
        except Exception as error:  # pydicom parses an element when it is asked for, and raises many kinds
            raise UnreadableImageError(f"the DICOM header is broken at {keyword}: {type(error).__name__}") from error
        return None if value is None else clean(str(value)).strip() or None

    if text("Rows") is None:
        raise UnreadableImageError("the DICOM file has no image: a report, a presentation state, or cut short")
    study, part = text("StudyInstanceUID"), text("BodyPartExamined")
    return {
        "body_part": known_body_part(part),
        "unknown_part": None if known_body_part(part) else part,  # for whoever has a table of names of their own
        "laterality": LATERALITIES.get(text("ImageLaterality") or text("Laterality") or ""),
        "view": word_of_letters(text("ViewPosition")),
        "age_months": months_of_age(text("PatientAge")),
        "sex": SEXES.get((text("PatientSex") or "").lower()),
        "year": year_of(text("StudyDate")),
        "modality": word_of_letters(text("Modality")),
        "device": known_maker(text("Manufacturer")),
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
        return "BurnedInAnnotation is not NO"
    kind = fields.get("SOPClassUID") or ""
    if kind == SECONDARY_CAPTURE or kind.startswith(SECONDARY_CAPTURE + "."):
        return "a secondary capture"
    if (fields.get("ConversionType") or "") in NOT_DIRECT:
        return f"ConversionType is {fields['ConversionType']}: no direct exposure"
    if "SCREEN SAVE" in (fields.get("ImageType") or ""):
        return "a saved screen"
    modality = fields.get("Modality") or "none"
    if modality not in FILMED_MODALITIES:
        return "the modality is none that takes films"
    if not (fields.get("PhotometricInterpretation") or "MONOCHROME2").startswith("MONOCHROME"):
        return "in colour: a screenshot, or a document"
    return None


def clean(text: str) -> str:
    """Text that can be stored and shown: half a character, which a broken encoding leaves, becomes a question mark.

    What steers a terminal or turns the direction of writing becomes a blank: what is seen is then what is there, and
    every place in the text stays.
    """
    return text.encode("utf-8", "replace").decode("utf-8").translate(STEERING)


def known_body_part(name: str | None) -> str | None:
    """The name, if the table has it, be it for one of the 23 or for none of them."""
    if not name:
        return None
    try:
        body_part_of(name)
    except UnknownBodyPartError:
        return None
    return name


def word_of_letters(text: str | None) -> str | None:
    return text if text and re.fullmatch(r"[A-Za-z]{1,12}", text) else None


def known_maker(text: str | None) -> str | None:
    """The maker's own name, whatever else the field holds."""
    words = re.split(r"[^a-z]+", (text or "").lower())
    return next((maker for maker in MAKERS if all(word in words for word in maker.lower().split())), None) or next(
        (maker for maker in MAKERS if len(maker) > 3 and any(word.startswith(maker.lower()) for word in words)), None
    )


def months_of_age(text: str | None) -> float | None:
    """DICOM's age string in months; None where it is none, or above 89 years."""
    found = AGE.fullmatch(text or "")
    if not found:
        return None
    months = int(found[1]) * MONTHS[found[2]]
    return round(months, 2) if months <= OLDEST * 12 else None


def year_of(date: str | None) -> int | None:
    """Of a date that begins with its year, or of the year alone."""
    return int(date[:4]) if date and re.match(r"(19|20)\d\d(?!\d{5})", date) else None
