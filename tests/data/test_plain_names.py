"""Names in messages: what looks like text about somebody is counted and not shown."""

import pytest

from pedclip.processing.data.plain_names import columns_named, is_plain, named


@pytest.mark.parametrize("name", ["study_id", "L KNEE", "GNOMON", "Xray Hip", "L KN 2V", "hand/wrist (AP)", "Fuß"])
def test_names_are_shown(name):
    assert is_plain(name)


@pytest.mark.parametrize(
    "name",
    [
        "Left knee fracture.", "L KNEE - JOHN SMITH 01/02/2015", "SMITH, JOHN", "p123456", "Emma Johnson", "", None,
        "the left knee of this child is swollen", "a: b", "x" * 41, "12",
    ],
)  # fmt: skip
def test_text_is_not(name):
    assert not is_plain(name)


def test_what_is_not_shown_is_counted():
    assert named(["FOO", "BAR"], "see f") == "'FOO', 'BAR'"
    assert named(["FOO", "It hurts."], "see f") == "'FOO' and 1 that may hold text of a report (see f)"
    assert named([f"F {chr(97 + i)}" for i in range(20)], "see f").endswith(" and 8 more (see f)")
    assert columns_named(["a", "b"]) == "its columns are a, b"
    assert columns_named(["s1", "Okonkwo fell."]) == "its 2 columns have no such name; is the first line a header?"
