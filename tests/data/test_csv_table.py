"""CSV tables: what is read, and what is refused because a text may have got into another patient's row."""

import pytest

from pedclip.processing.data.csv_table import rows_of_csv

HEADER = "study_id,patient_id,report,body_part,file_name\n"


def read(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    return list(rows_of_csv(path))


def test_a_whole_table_is_read(tmp_path):
    rows = read(
        tmp_path,
        "\ufeff" + HEADER + '1,p,"Knee: a ""small"" effusion,\r\nno fracture.",L KNEE,a.png\r\n\r\n2,p,5",,\n',
    )
    assert rows == [
        dict(
            study_id="1", patient_id="p", report='Knee: a "small" effusion,\r\nno fracture.', body_part="L KNEE",
            file_name="a.png",
        ),
        dict(study_id="2", patient_id="p", report='5"', body_part="", file_name=""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        # cut off before "or angulated", and the rest would have been the file's name
        ("1,p,There is no displaced, or angulated fracture.,L KNEE,a.png\n", "line 2: the row has 6 cells"),
        ("1,p,Secret knee.,L KNEE\n", "line 2: the row has 4 cells and the header 5"),
        ('1,p,"Secret knee.,L KNEE,a.png\n2,q,Hip.,R HIP,b.png\n', r"line 2: the quotation marks do not fit"),
        ('1,p,"Secret knee.,L KNEE,a.png\n2,q,"Hip.",R HIP,b.png\n', r"line 2: the quotation marks do not fit"),
        # 5" is inches; without a check the first patient has the second one's report
        ('1,p,"Secret knee.,L KNEE,a.png\n2,q,Hip of 5",R HIP,b.png\n', "line 2: a cell runs on into the next row"),
        ('1,p,"a",b,c\n2,p,"Secret" knee,b,c\n', "line 3: the quotation marks"),
    ],
)
def test_a_broken_table_is_refused_by_line_and_without_its_text(tmp_path, rows, why):
    with pytest.raises(ValueError, match=why) as caught:
        read(tmp_path, HEADER + rows)
    assert "Secret" not in str(caught.value) and "Hip" not in str(caught.value)


def test_names_that_stand_twice_and_other_encodings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"names 1 column\(s\) twice"):
        read(tmp_path, "a,b,a\n1,2,3\n")
    (tmp_path / "t.csv").write_bytes(HEADER.encode() + b"1,p,\xfcber,a,b\n")
    with pytest.raises(ValueError, match="no CSV table in UTF-8"):
        list(rows_of_csv(tmp_path / "t.csv"))
