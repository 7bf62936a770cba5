"""Captions: text first, then labels by templates, in the stated order."""

from pathlib import Path

import pytest

from pedclip.configuration.data import AugmentConfig, CaptionsConfig, DataConfig
from pedclip.processing.data.captions import Captions, template_number
from pedclip.processing.data.sample import Sample


def sample(**fields) -> Sample:
    known = {
        "path": Path("a.png"),
        "file_name": "a.png",
        "body_part": "foot_ankle",
        "patient_id": "p",
        "split": "train",
    }
    return Sample(**{**known, **fields})


def captions(body_part_words=None, **fields) -> Captions:
    settings = {"templates": ["{body_part} x-ray", "an x-ray of the {body_part}"], "findings_templates": []}
    config = CaptionsConfig(**{**settings, **fields})
    return Captions(DataConfig(path="x", captions=config, body_part_words=body_part_words or {}))


def test_text_goes_before_labels_unless_the_recipe_says_otherwise():
    written = sample(text="Oblique fracture.")
    assert captions().caption(written) == "Oblique fracture."
    assert captions(source="labels").caption(written) == "foot ankle x-ray"
    assert captions(source="text").caption(sample()) is None


def test_alternating_captions_are_the_text_in_their_share_of_batches_and_a_template_in_the_others():
    made = captions(source="alternating", text_share=0.3)
    row = sample(text="The report.")
    said = [made.caption(row, number) for number in range(200)]
    assert said.count("The report.") == 60 and said[0] == "The report."
    assert said[50] == "foot ankle x-ray" and said[150] == "an x-ray of the foot ankle"
    assert captions(source="alternating").caption(sample(text=None), 0) == "foot ankle x-ray"
    with pytest.raises(ValueError, match="give at least one"):
        CaptionsConfig(source="alternating", templates=[])


def test_the_template_number_chooses_the_template_and_words_replace_names():
    said = captions(body_part_words={"foot_ankle": "foot and ankle"})
    assert said.caption(sample(), 0) == "foot and ankle x-ray"
    assert said.caption(sample(), 7) == "an x-ray of the foot and ankle"


def test_findings_are_said_by_their_narrowest_or_broadest_names():
    said = captions(
        findings_templates=["{body_part}: {findings}", "{body_part}: {broad_findings}"],
        broader={"viral pneumonia": "pneumonia"},
        finding_words={"covid-19": "COVID-19"},
        left_out=["AO *"],
    )
    row = sample(body_part="chest", findings=("pneumonia", "viral pneumonia", "covid-19", "AO 23-M/3.1"))
    assert said.caption(row, 0) == "chest: viral pneumonia, COVID-19"
    assert said.caption(row, 1) == "chest: pneumonia, COVID-19"


def test_a_row_whose_findings_are_all_left_out_is_said_by_its_body_part():
    said = captions(findings_templates=["{body_part}: {findings}"], left_out=["no fracture"])
    assert said.caption(sample(findings=("no fracture",))) == "foot ankle x-ray"


def test_a_row_that_fits_no_template_has_no_caption():
    assert captions().caption(sample(body_part=None)) is None


def test_samples_with_equal_labels_share_one_caption_under_one_number():
    said = captions(findings_templates=["{body_part}, {findings}", "{findings} in the {body_part}"])
    rows = [sample(file_name=name, findings=("fracture",)) for name in ("a.png", "b.png")]
    for number in (0, 1, template_number(0, 3, 5)):
        assert len({said.caption(row, number) for row in rows}) == 1


def test_template_numbers_follow_from_seed_epoch_and_batch():
    assert template_number(1, 2, 3) == template_number(1, 2, 3)
    assert len({template_number(*place) % 1000 for place in ((1, 2, 3), (1, 3, 2), (2, 2, 3))}) == 3


def test_training_labels_say_what_captions_could_say():
    said = captions(findings_templates=["{body_part}: {findings}"], left_out=["secret"])
    labels = said.training_labels([sample(findings=("fracture", "secret")), sample(), sample(text="A report.")])
    assert labels["body_part"] == ["foot_ankle"]
    assert labels["findings"] == ["fracture"]
    assert (labels["captions"], labels["captions_from_text"]) == (3, 1)


def test_mistakes_in_a_recipe_are_named():
    with pytest.raises(ValueError, match="bodypart"):
        CaptionsConfig(templates=["{bodypart} x-ray"])
    with pytest.raises(ValueError, match="circle: a -> b -> a"):
        CaptionsConfig(broader={"a": "b", "b": "a"})
    with pytest.raises(ValueError, match=r"flip_chance is 2.*probability"):
        AugmentConfig(flip_chance=2)
    with pytest.raises(ValueError, match=r"data\.path is empty"):
        DataConfig(path="")
