"""Rows as documents, piece by piece, and rows from a CSV file again."""

from __future__ import annotations

import csv
import io
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.answers import ResultList, ResultRow
from daemons.core.formats import CsvDocument, JsonDocument, LinesDocument, read_csv
from daemons.core.results import COLUMNS, LIST_COLUMNS, to_csv

ROW = {
    "Status": "Complete",
    "JobId": "campaign-1-job-0",
    "ComputeUnits": "CPU (ONNX)",
    "CampaignId": "campaign-1",
    "LoadMsMedian": 45.25,
    "FileSize": 12,
    "OutputsAgree": True,
    "Warnings": ["one", "two"],
    "Remark": None,
}
FAILED = {
    "Status": "Failed",
    "JobId": "campaign-1-job-1",
    "CampaignId": "campaign-1",
    "Remark": '=a "quoted", text\r\n',
}


def written(document, *portions, cursor=None):
    return document.begin() + b"".join(map(document.rows, portions)) + document.end(cursor)


def test_the_rows_type_has_the_columns_of_the_csv():
    assert set(ResultRow.__struct_encode_fields__) == set(COLUMNS)
    types = {field.encode_name: field.type for field in msgspec.structs.fields(ResultRow)}
    assert {column for column in COLUMNS if "list" in str(types[column])} == set(LIST_COLUMNS)


def test_csv_in_portions_is_the_same_document():
    assert written(CsvDocument(), [ROW], [], [FAILED]).decode() == to_csv([ROW, FAILED])


def test_json_is_one_object_with_flat_rows_that_all_have_every_column():
    document = json.loads(written(JsonDocument(), [ROW], [], [FAILED]))
    assert document["count"] == 2
    assert list(document["results"][0]) == list(document["results"][1]) == list(COLUMNS)
    assert document["results"][0]["LoadMsMedian"] == 45.25
    assert document["results"][0]["Warnings"] == ["one", "two"]
    assert document["results"][1]["LoadMsMedian"] is None
    assert document["results"][1]["Warnings"] == []
    assert "next_cursor" not in document


@pytest.mark.parametrize("portions", [[], [[]], [[ROW]], [[], [ROW, FAILED]], [[ROW], [FAILED, ROW]]])
def test_json_of_any_portions_is_whole_and_of_its_type(portions):
    listed = msgspec.json.decode(written(JsonDocument(), *portions, cursor="1-2"), type=ResultList)
    assert listed.count == len(listed.results) == sum(map(len, portions))
    assert listed.next_cursor == "1-2"


def test_a_part_of_a_json_document_is_none():
    whole = written(JsonDocument(), [ROW], [FAILED])
    for length in range(len(whole)):
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(whole[:length])


def test_lines_are_the_same_rows():
    lines = written(LinesDocument(), [ROW], [], [FAILED]).splitlines()
    assert [json.loads(line) for line in lines] == json.loads(written(JsonDocument(), [ROW, FAILED]))["results"]
    assert written(LinesDocument()) == b""


def test_rows_of_a_csv_are_those_that_it_was_made_of():
    text = to_csv([ROW, FAILED])
    found = list(read_csv(io.StringIO(text, newline="")))
    as_json = json.loads(written(JsonDocument(), [ROW, FAILED]))["results"]
    assert [{column: row[column] for column in COLUMNS} for row in found] == as_json


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(lambda text: text[0] != "'")
"""A text that begins with an apostrophe may have got it as a guard against formulas: nobody can tell."""


@given(
    name=TEXT,
    figure=st.floats(0, 1e9).map(lambda value: round(value, 3)),
    warnings=st.lists(TEXT.filter(lambda text: "; " not in text + " "), max_size=3),
    agree=st.booleans() | st.none(),
)
def test_whatever_text_and_figures_come_back(name, figure, warnings, agree):
    row = ROW | {"DeviceName": name, "InferenceMsMedian": figure, "Warnings": warnings, "OutputsAgree": agree}
    (found,) = read_csv(io.StringIO(to_csv([row]), newline=""))
    assert found["DeviceName"] == name
    assert found["InferenceMsMedian"] == pytest.approx(figure)
    assert found["OutputsAgree"] is agree
    assert found["Warnings"] == warnings


def test_columns_of_another_version_are_passed_over():
    file = io.StringIO("Status,JobId,CampaignId,Colour\r\nComplete,campaign-1-job-0,campaign-1,red\r\n", newline="")
    assert [row["JobId"] for row in read_csv(file)] == ["campaign-1-job-0"]


@pytest.mark.parametrize("cells", [("Done", "1"), ("Complete", "fast")])
def test_what_is_no_result_is_refused(cells):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("Status", "JobId", "CampaignId", "LoadMsMedian"), (cells[0], "j", "c", cells[1])])
    text.seek(0)
    with pytest.raises(ValueError, match=r"LoadMsMedian|Status"):
        list(read_csv(text))
