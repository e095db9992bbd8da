"""Figures, and the table that they become."""

from __future__ import annotations

import csv
import io
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemons.core.lifecycle import ReportStatus
from daemons.core.results import (
    COLUMNS,
    SEED_COLUMNS,
    JobReport,
    Measurement,
    Outcome,
    Samples,
    cell,
    csv_filename,
    figures,
    report,
    to_csv,
)

SEED = (
    "Status,JobId,FileName,FileSize,ComputeUnits,DeviceName,Soc,Ram,DeviceOs,LoadMsMedian,LoadMsAverage,LoadMsStdDev,"
    "PeakLoadRamUsage,InferenceMsMedian,InferenceMsAverage,InferenceMsStdDev,PeakInferenceRamUsage"
)


def parsed(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def test_the_columns_of_the_users_document_come_first_and_in_its_order():
    assert ",".join(SEED_COLUMNS) == SEED
    assert COLUMNS[: len(SEED_COLUMNS)] == SEED_COLUMNS
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert set(Measurement.__struct_encode_fields__) <= set(COLUMNS)


def test_no_rows_are_a_header_alone():
    assert to_csv([]) == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.0, "0"),
        (0, "0"),
        (12.5, "12.5"),
        (100.0, "100"),
        (1 / 3, "0.333333"),
        (-1.5, "-1.5"),
        (1e15, "1000000000000000"),
        (0.001, "0.001"),
        (2.384185791015625e-07, "2.384e-07"),
        (-0.00012345678, "-0.0001235"),
        ([], ""),
        (["a", "b"], "a; b"),
        ("16", "16"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        (["=1"], "'=1"),
        ("a=1", "a=1"),
    ],
)
def test_one_cell(value, text):
    assert cell(value) == text


def test_unknown_is_an_empty_cell_and_never_0():
    (_, row) = parsed(to_csv([{"Status": "Failed"}]))
    assert row == ["Failed"] + [""] * (len(COLUMNS) - 1)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), st.floats(0, 1e12))
def test_what_goes_in_comes_out(remark, figure):
    header, row = parsed(to_csv([{"Remark": remark, "LoadMsMedian": figure}]))
    found = dict(zip(header, row, strict=True))
    assert found["Remark"].removeprefix("'") == remark.removeprefix("'")
    assert not found["Remark"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert math.isclose(float(found["LoadMsMedian"]), figure, abs_tol=1e-6)


def test_a_report_carries_the_outcome_flat_under_the_columns_names():
    outcome = Outcome(
        status=ReportStatus.COMPLETE,
        measurement=Measurement(load_ms_median=1.5, warnings=["noisy"]),
        samples=Samples(load_ms=[1.0, 2.0]),
    )
    sent = report("worker-1", 2, outcome)
    wire = msgspec.json.decode(msgspec.json.encode(sent))
    assert wire == {
        "worker_id": "worker-1",
        "attempt": 2,
        "status": "Complete",
        "LoadMsMedian": 1.5,
        "Warnings": ["noisy"],
        "Samples": {"LoadMs": [1.0, 2.0], "InferenceMs": []},
    }
    assert figures(msgspec.convert(wire, JobReport)) == {"LoadMsMedian": 1.5, "Warnings": ["noisy"]}


def test_the_file_is_named_by_the_time_at_which_its_campaign_ended():
    assert (
        csv_filename("campaign-1234567890", "2025-01-09T14:30:22.123Z")
        == "campaign-1234567890_20250109_143022_results.csv"
    )
