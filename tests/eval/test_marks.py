"""What stands between two marks of a page is a program's own, and all else stays."""

import pytest

from pedclip.eval.marks import between_marks

PAGE = "before\n<!-- a: writer.py -->\nold\n<!-- end of a -->\nafter\n<!-- b: writer.py -->\n<!-- end of b -->\n"


def test_only_what_stands_between_the_marks_changes():
    new = between_marks(PAGE, "a", "writer.py", "one\ntwo")
    assert new == PAGE.replace("old", "one\ntwo")
    assert between_marks(new, "a", "writer.py", "old") == PAGE
    assert between_marks(PAGE, "b", "writer.py", "first") == PAGE.replace(
        "-->\n<!-- end of b", "-->\nfirst\n<!-- end of b"
    )


@pytest.mark.parametrize(
    ("name", "writer", "page"), [("c", "writer.py", PAGE), ("a", "other.py", PAGE), ("a", "writer.py", PAGE[:40])]
)
def test_a_page_without_both_marks_is_an_error(name, writer, page):
    with pytest.raises(ValueError, match=f"lacks <!-- {name}: {writer} --> or <!-- end of {name} -->"):
        between_marks(page, name, writer, "lines")
