"""The parts of a study by the names of its source: the right expert and side, or a list of what nobody knows."""

import pytest

from pedclip.processing.curation.parts import filmed_parts, laterality_of, unknown_names
from pedclip.processing.data.body_parts import UnknownBodyPartError


@pytest.mark.parametrize(
    ("name", "expert", "laterality"),
    [
        ("L KNEE", "knee", "left"),
        ("left knee", "knee", "left"),
        ("Xray Hip", "hip", None),
        ("both knees", "knee", "bilateral"),
        ("RT WRIST", "wrist", "right"),
        ("R hand", "hand", "right"),
        ("left tibia/fibula", "lower_leg", "left"),
        ("Frog leg lateral both hips", "hip", "bilateral"),
        ("Left and right hands", "hand", "bilateral"),
        ("L SPINE", "lumbar_spine", None),
        ("R L-spine", "lumbar_spine", None),
        ("TSPINE", "thoracic_spine", None),
        ("CHEST", "chest", None),
        ("Pelvis AP", "pelvis", None),
        ("whole_spine", "whole_spine", None),
        ("skeletal survey", None, None),
    ],
)
def test_a_source_name_gives_expert_and_side_and_stays_as_it_is(name, expert, laterality):
    (part,) = filmed_parts([name])
    assert (part.name, part.expert, part.laterality) == (name, expert, laterality)


def test_unknown_names_are_listed_in_one_error_and_none_is_guessed():
    with pytest.raises(UnknownBodyPartError) as caught:
        filmed_parts(["left knee", "Gizmo 7", "RFT wrong"])
    assert caught.value.names == ["Gizmo 7", "RFT wrong"]
    assert unknown_names(["left knee", "Gizmo 7", "Gizmo 7", " "]) == [" ", "Gizmo 7"]


def test_a_readers_own_table_goes_first():
    own = {"Gizmo 7": "foot", "CHEST": None}
    assert [part.expert for part in filmed_parts(["Gizmo 7", "CHEST"], body_part_experts=own)] == ["foot", None]
    assert unknown_names(["Gizmo 7"], own) == []


def test_films_stay_with_their_part_and_a_name_twice_is_one_part():
    (part,) = filmed_parts({"left knee": ["a.png", "b.png"]})
    assert part.images == ("a.png", "b.png")
    assert len(filmed_parts(["left knee", "left knee"])) == 1


def test_the_side_of_a_header_goes_before_that_of_the_name():
    first, second = filmed_parts(["KNEE", "left hand"], lateralities={"KNEE": "R", "left hand": "B"})
    assert (first.laterality, second.laterality) == ("right", "bilateral")
    with pytest.raises(ValueError, match="laterality is 'sinister'"):
        filmed_parts(["KNEE"], lateralities={"KNEE": "sinister"})


def test_a_lone_text_is_no_list_of_names():
    with pytest.raises(TypeError, match="give a list of names"):
        filmed_parts("knee")


def test_letters_are_sides_of_limbs_alone():
    assert laterality_of("L ankle", "ankle") == "left"
    assert laterality_of("L spine", "lumbar_spine") is None
    assert laterality_of("knee lateral", "knee") is None
