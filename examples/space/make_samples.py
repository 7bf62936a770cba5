"""Writes the Space's sample films: generated phantoms, never patients.

    python examples/space/make_samples.py examples/space/samples

Needs the package pedclip with its extra `dicom`; the Space itself does not run this. Each film is the first of the
test patients of `make demo` that has the wanted body part with that finding and no other: the demo's model has not
seen it in training, and none was chosen by what the model says of it. It is drawn larger than there, for the page.
"""

import json
import sys
from pathlib import Path

from PIL import Image

from pedclip.demo import CLINIC, PATIENTS, SEED, SPLITS
from pedclip.processing.phantom.dicom import film_as_dicom
from pedclip.processing.phantom.records import Study
from pedclip.processing.phantom.render import render
from pedclip.processing.phantom.rows import studies_in

SIDE = 224  # pixels; the demo's films have 112
# file -> body part, what the film shows (None: nothing), and what is asked of it beside that
WANTED = {
    "cardiomegaly.png": ("chest", "cardiomegaly", ("consolidation", "pleural effusion", "pneumothorax")),
    "scoliosis.png": ("whole_spine", "scoliosis", ()),
    "hip-dysplasia.png": ("pelvis", "hip dysplasia", ()),
    "inflammation.png": ("wrist", "inflammation", ("fracture", "erosion", "joint space narrowing")),
    "no-finding.png": ("knee", None, ("fracture", "inflammation", "erosion", "joint effusion")),
    "pleural-effusion.dcm": ("chest", "pleural effusion", ("cardiomegaly", "consolidation", "pneumothorax")),
}


def first_study(body_part: str, finding: str | None) -> tuple[Study, int]:
    """The first study of the test patients with such an exam, and the exam's number."""
    wanted = [] if finding is None else [finding]
    for _, study in studies_in(range(PATIENTS), SEED, CLINIC, SPLITS, "test"):
        for number, exam in enumerate(study.exams):
            if exam.body_part == body_part and [one.name for one in exam.findings] == wanted:
                return study, number
    raise LookupError(f"no test patient has a {body_part} with {finding or 'no finding'} alone")


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    samples = []
    for file, (body_part, finding, others) in WANTED.items():
        study, number = first_study(body_part, finding)
        film = render(study, number, study.exams[number].views[0], side=SIDE)
        if file.endswith(".dcm"):
            film_as_dicom(study, number, film).save_as(out / file, enforce_file_format=True)
        else:
            Image.fromarray((film.pixels >> 4).astype("uint8")).save(out / file, optimize=True)  # 12 bits to 8
        part = body_part.replace("_", " ")
        asked = [*([finding] if finding else []), *others]
        samples.append(
            {
                "file": file,
                "title": finding or "no finding",
                "shows": f"{part}, {finding or 'no finding'}{' (a DICOM file)' if file.endswith('.dcm') else ''}",
                "findings": [f"{part}, {one}" for one in asked],
                "against": f"{part}, no finding",
            }
        )
    (out / "samples.json").write_text(json.dumps(samples, indent=1) + "\n", encoding="utf-8")
    print(f"{len(samples)} films in {out}: generated, no patients")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
