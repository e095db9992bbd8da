"""Commands that ask an orchestrator: what they print, for people and for programs, and how they exit."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from daemons.cli import waiting
from daemons.core.errors import OrchestratorUnavailable
from daemons.core.results import COLUMNS
from daemons.core.settings import HttpSettings
from tests.support.command_line import Ended, run, running_fleet
from tests.support.orchestrator import orchestrating
from tests.support.processes import BENCHFLEET, environment, until

CAMPAIGNS = sorted((Path(__file__).parents[2] / "config/campaigns").glob("*.yaml"))
CPU = "CPU (ONNX)"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def fleet(valkey_url, tmp_path_factory):
    with running_fleet(valkey_url, tmp_path_factory.mktemp("fleet"), "mac-mini-3", "linux-7") as running:
        yield running


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"a model that nobody loads")
    return str(path)


def document(ended, status=0):
    """The one document that a command has printed."""
    assert ended.status == status, ended.err
    return json.loads(ended.out)


def refused(ended, *words, status=2):
    """That the command ended so, told in one sentence."""
    assert ended.status == status, (ended.out, ended.err)
    assert ended.out == ""
    assert ended.err.startswith("benchfleet: ")
    assert ended.err.count("\n") == 1
    for word in words:
        assert word in ended.err


def workers_of(fleet):
    return {one["device_name"]: one["worker_id"] for one in fleet.api("GET", "/workers")[1]["workers"]}


# Submitting and waiting.


def test_submit_and_wait_is_all_that_a_script_needs(fleet, model):
    found = document(fleet("submit", model, "--wait", "--json", "--name", "nightly", "--label", "branch=main"))
    assert list(found) == [
        "campaign_id",
        "name",
        "labels",
        "status",
        "total_jobs",
        "counts",
        "model_sha256",
        "created_at",
        "ended_at",
        "results",
    ]
    assert (found["status"], found["total_jobs"]) == ("completed", 1)
    assert (found["name"], found["labels"]) == ("nightly", {"branch": "main"})
    assert found["counts"] == {"pending": 0, "running": 0, "complete": 1, "failed": 0, "cancelled": 0}
    (row,) = found["results"]
    assert list(row) == list(COLUMNS)
    assert (row["Status"], row["FileName"], row["ComputeUnits"]) == ("Complete", "net.onnx", CPU)
    assert 1 <= row["InferenceMsMedian"] <= 2


def test_a_failed_job_is_exit_status_1_and_its_reason_is_told(fleet):
    missing = f"{fleet.url}/api/models/none.onnx"
    found = document(fleet("submit", missing, "--wait", "--json"), status=1)
    assert (found["status"], found["counts"]["failed"]) == ("failed", 1)
    assert "404" in found["results"][0]["Remark"]
    ended = fleet("submit", missing, "--wait")
    assert ended.status == 1
    assert "404" in ended.err


def test_one_failed_job_of_several_is_exit_status_1_too(fleet, model, tmp_path):
    campaign = tmp_path / "half.yaml"
    campaign.write_text(
        f"model_url: net.onnx\njobs: [{{compute_unit: {CPU}}},\n"
        f"  {{compute_unit: {CPU}, model_url: '{fleet.url}/api/models/none.onnx'}}]\n"
    )
    found = document(fleet("submit", str(campaign), "--wait", "--json"), status=1)
    assert (found["status"], found["counts"]["complete"], found["counts"]["failed"]) == ("completed", 1, 1)


def test_a_file_is_uploaded_once_and_named_by_its_hash(fleet, model):
    first = fleet("submit", model, "--set", "num_load_runs=2")
    assert "25 bytes" in first.err
    second = fleet("submit", model, "--json")
    assert "kept already" in second.err
    campaign = fleet.api("GET", f"/campaigns/{document(second)['campaign_id']}")[1]
    assert campaign["model_url"].startswith("model:sha256:")
    assert campaign["model_url"].endswith("/net.onnx")


def test_every_option_of_submit_reaches_the_job(fleet, model):
    worker = workers_of(fleet)["linux-7"]
    options = ["--runs", "7", "--priority", "3", "--set", "threads=2", "--set", "check_outputs=true"]
    answer = document(fleet("submit", model, "--worker", "linux-7", "--on", CPU, *options, "--json"))
    job = fleet.api("GET", f"/jobs/{answer['jobs'][0]['job_id']}")[1]["job"]
    wanted = {"worker_id": worker, "num_inference_runs": 7, "priority": 3, "threads": 2, "check_outputs": True}
    assert wanted.items() <= job["options"].items()
    assert document(fleet("submit", model, "--every-device", "--json"))["total_jobs"] == 2
    assert document(fleet("submit", model, "--devices", "1", "--json"))["total_jobs"] == 1
    told = fleet("submit", model, "--tag", "no-such-tag")
    assert "none of which can run now" in told.out
    assert "no-such-tag" in told.out


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.name)
def test_the_shipped_campaigns_are_accepted(fleet, path):
    answer = document(fleet("submit", str(path), "--json"))
    assert answer["total_jobs"] > 0
    assert fleet("cancel", answer["campaign_id"]).status == 0


def test_what_is_followed_in_a_pipe_is_lines_and_then_a_table(fleet, model):
    ended = fleet("submit", model, "--every-device", "--wait")
    assert ended.status == 0, ended.err
    assert "\x1b" not in ended.out + ended.err
    lines = ended.out.splitlines()
    campaign = lines[0].partition(":")[0]
    assert lines[0].startswith(f"{campaign}: accepted, 2 jobs")
    assert sum(line.startswith(f"{campaign}-job-") and f": {CPU} complete on " in line for line in lines) == 2
    assert f"{campaign} (net.onnx): completed; 2 jobs: 2 complete" in lines
    assert lines[-4].split() == [
        "job",
        "device",
        "unit",
        "status",
        "load",
        "(ms)",
        "inference",
        "(ms)",
        "peaks",
        "(MB)",
    ]
    assert {line.split()[1] for line in lines[-3:-1]} == {"mac-mini-3", "linux-7"}


def test_an_ended_campaign_can_be_watched_too(fleet, model):
    campaign = document(fleet("submit", model, "--wait", "--json"))["campaign_id"]
    assert document(fleet("watch", campaign, "--json"))["status"] == "completed"
    assert f"{campaign} (net.onnx): completed" in fleet("watch", campaign).out


def test_the_jobs_of_a_large_campaign_are_counted_and_not_told_one_by_one(fleet, model, monkeypatch):
    monkeypatch.setattr(waiting, "MOST_JOBS", 1)
    ended = fleet("submit", model, "--every-device", "--wait")
    assert ended.status == 0, ended.err
    assert "-job-" not in ended.out
    assert "completed; 2 jobs: 2 complete" in ended.out


def test_waiting_has_an_end_if_one_is_named(fleet, model):
    ended = fleet("submit", model, "--on", "GPU (ONNX)", "--wait", "--json", "--timeout", "0.3")
    assert (ended.status, ended.out) == (1, "")
    assert "has not ended within 0.3 s" in ended.err
    assert "benchfleet watch campaign-" in ended.err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_stops_waiting_is_told_how_to_go_on_and_the_campaign_goes_on(fleet, model, number, status):
    process = subprocess.Popen(
        [*BENCHFLEET, "submit", model, "--on", "GPU (ONNX)", "--wait"],
        env=environment(BENCHFLEET_URL=fleet.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    campaign = process.stdout.readline().partition(":")[0]
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert f"benchfleet watch {campaign}" in err
    assert "Traceback" not in err
    assert fleet.api("GET", f"/campaigns/{campaign}")[1]["status"] == "running"


def test_bars_are_painted_on_a_terminal_and_it_is_left_as_it_was(fleet, model, tmp_path):
    """The terminal is 80 columns wide; stdout is a file, so that the document is alone there."""
    controller, terminal = os.openpty()
    os.set_blocking(controller, False)
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [*BENCHFLEET, "submit", model, "--on", "GPU (ONNX)", "--wait", "--json"],
            env=environment(BENCHFLEET_URL=fleet.url, TERM="xterm-256color", COLUMNS="80", PYTHONIOENCODING="utf-8"),
            stdout=out,
            stderr=terminal,
        )
    seen = bytearray()
    try:
        until(lambda: _read(controller, seen) and "░░░ 0/1 jobs".encode() in seen, "a bar")
        campaign = fleet.api("GET", "/campaigns?limit=1")[1]["campaigns"][0]["campaign_id"]
        assert fleet("cancel", campaign).status == 0
        assert process.wait(timeout=30) == 1
        _read(controller, seen)
    finally:
        process.kill()
        os.close(controller)
        os.close(terminal)
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l") > 0, "the cursor is shown again"
    assert json.loads((tmp_path / "out").read_text())["status"] == "cancelled"


def _read(controller, seen):
    try:
        seen += os.read(controller, 65536)
    except (BlockingIOError, OSError):
        return bool(seen)
    return True


# Lists and results.


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("campaigns", "--limit", "3"), "/campaigns?limit=3"),
        (("jobs", "--status", "complete", "--limit", "2"), "/jobs?status=complete&limit=2"),
        (("jobs", "--worker", "linux-7", "--limit", "2"), "/jobs?worker_id={linux-7}&limit=2"),
        (("models",), "/models"),
        (("queue",), "/queue/status"),
    ],
)
def test_json_is_the_answer_of_the_api(fleet, model, arguments, path):
    for _ in range(4):
        document(fleet("submit", model, "--wait", "--json"))
    path = path.format_map(workers_of(fleet))
    until(lambda: document(fleet(*arguments, "--json")) == fleet.api("GET", path)[1], "nothing to happen in between")


def test_a_locale_that_can_not_spell_everything_is_no_reason_to_fail(fleet, model):
    campaign = document(fleet("submit", model, "--wait", "--json", "--name", "größer ± 日本"))["campaign_id"]
    environ = environment(BENCHFLEET_URL=fleet.url, PYTHONIOENCODING="iso-8859-1")
    show = [*BENCHFLEET, "campaigns", "show", campaign]
    done = subprocess.run(show, env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "größer ± ??".encode("iso-8859-1") in done.stdout


def test_lists_are_fetched_page_by_page_as_far_as_they_are_wanted(fleet, model, monkeypatch):
    for _ in range(5):
        assert fleet("submit", model).status == 0
    monkeypatch.setattr("daemons.cli.pages.PAGE", 2)
    found = document(fleet("campaigns", "--limit", "5", "--json"))
    assert found["count"] == len({one["campaign_id"] for one in found["campaigns"]}) == 5
    ended = fleet("campaigns", "--limit", "3")
    assert len(ended.out.splitlines()) == 4
    assert "--limit shows more" in ended.err


def test_campaigns_are_found_by_name_and_label(fleet, model):
    named = document(fleet("submit", model, "--name", "found", "--label", "a=1", "--label", "b=2", "--json"))
    document(fleet("submit", model, "--name", "found", "--label", "a=2", "--json"))
    for wanted in (("--label", "a=1"), ("--name", "found", "--label", "b=2")):
        found = document(fleet("campaigns", *wanted, "--json"))
        assert [one["campaign_id"] for one in found["campaigns"]] == [named["campaign_id"]]
    assert "a=1, b=2" in fleet("campaigns", "show", named["campaign_id"]).out


def test_results_in_every_form_are_those_of_the_server(fleet, model, tmp_path):
    campaign = document(fleet("submit", model, "--every-device", "--wait", "--json"))["campaign_id"]
    with urllib.request.urlopen(f"{fleet.url}/api/campaigns/{campaign}/results") as answer:
        as_csv = answer.read().decode()
    assert fleet("results", campaign, "--csv").out == as_csv
    assert fleet("results", campaign, "--output", str(tmp_path / "r.csv")).status == 0
    assert (tmp_path / "r.csv").read_bytes().decode() == as_csv
    found = document(fleet("results", campaign, "--json"))
    assert list(found) == ["count", "results"]
    assert found["count"] == 2
    assert [json.loads(line) for line in fleet("results", campaign, "--jsonl").out.splitlines()] == found["results"]
    rows = list(csv.DictReader(io.StringIO(as_csv)))
    assert [row["DeviceName"] for row in rows] == [row["DeviceName"] for row in found["results"]]
    only = document(fleet("results", campaign, "--worker", "linux-7", "--json"))
    assert [row["DeviceName"] for row in only["results"]] == ["linux-7"]
    assert campaign in fleet("results", "--csv").out
    assert document(fleet("results", "--limit", "1", "--json"))["results"] == found["results"][:1]
    other = document(fleet("submit", model, "--wait", "--json"))["campaign_id"]
    headings = [line for line in fleet("results", campaign, other).out.splitlines() if line.startswith("campaign-")]
    assert headings == [f"{campaign}:", f"{other}:"]
    assert "mac-mini-3" in fleet("results", campaign).out


def test_results_that_can_not_be_written_are_a_sentence(fleet, model, tmp_path):
    ended = fleet("results", "--output", str(tmp_path / "none" / "r.csv"))
    assert ended.status == 1
    assert "No such file or directory" in ended.err
    assert ended.err.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error(fleet, model):
    line = f"{' '.join(BENCHFLEET)} results --csv | head -0; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], env=environment(BENCHFLEET_URL=fleet.url), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


# Doing things.


def test_devices_are_drained_and_undrained_by_name_or_identifier(fleet):
    worker = workers_of(fleet)["linux-7"]
    answers = document(fleet("drain", "linux-7", worker, "--reason", "new disk", "--json"))
    assert [one["worker_id"] for one in answers["answers"]] == [worker, worker]
    shown = fleet("workers", "show", "linux-7").out
    assert "new disk" in shown
    assert fleet("undrain", "linux-7").out == "linux-7: the worker takes jobs again\n"
    assert "new disk" not in fleet("workers", "show", worker).out


def test_what_goes_wrong_with_one_does_not_stop_the_others(fleet):
    ended = fleet("undrain", "nobody", "linux-7")
    assert ended.status == 2
    assert ended.out == "linux-7: the worker takes jobs again\n"
    assert ended.err.count("\n") == 1
    refused(fleet("drain", "linux-8"), "did you mean 'linux-7'?")


def test_campaigns_and_jobs_are_cancelled_and_tried_again(fleet, model):
    campaign = document(fleet("submit", model, "--on", "GPU (ONNX)", "--json"))["campaign_id"]
    assert "it is cancelled" in fleet("cancel", f"{campaign}-job-0").out
    assert "0 failed jobs are open again" in fleet("retry", campaign).out
    assert "only failed jobs" in fleet("retry", f"{campaign}-job-0").out
    assert fleet("watch", campaign).status == 1
    assert "forgotten" in fleet("campaigns", "delete", campaign).out
    refused(fleet("campaigns", "show", campaign), campaign)


def test_a_device_is_checked_set_aside_reset_and_removed(fleet):
    card = {"device_name": "old", "capabilities": [CPU], "device_info": {"UDID": "old"}}
    worker = fleet.api("POST", "/register", card)[1]["worker_id"]
    refused(fleet("workers", "remove", "old"), worker)
    fleet.api("PUT", f"/workers/{worker}/status", {"status": "faulty"})
    assert worker in fleet("workers", "--status", "faulty").out
    assert "active again" in fleet("workers", "reset", "old").out
    assert fleet("workers", "remove", "old", "--force").status == 0
    refused(fleet("workers", "show", worker), worker)


def test_a_model_goes_there_and_comes_back(fleet, model, tmp_path):
    kept = document(fleet("models", "upload", model, "--name", "other.onnx", "--json"))
    assert (kept["name"], kept["size_bytes"]) == ("other.onnx", 25)
    assert "submit it as model:net-2.onnx" in fleet("models", "upload", model, "--name", "net-2.onnx").out
    target = tmp_path / "back.onnx"
    assert document(fleet("models", "download", "other.onnx", str(target), "--json"))["size_bytes"] == 25
    assert target.read_bytes() == Path(model).read_bytes()
    assert "other.onnx" in fleet("models").out
    assert fleet("models", "delete", "other.onnx", "net-2.onnx").status == 0
    refused(fleet("models", "download", "other.onnx", str(target)), "other.onnx")
    assert target.read_bytes() == Path(model).read_bytes()


def test_events_are_one_document_a_line(fleet, model):
    start = fleet.api("GET", "/campaigns")[1]
    position = f"{start['epoch']}-{start['seq']}"
    campaign = document(fleet("submit", model, "--wait", "--json"))["campaign_id"]
    ended = fleet("events", "--after", position, "--campaign", campaign, "--seconds", "0", "--json")
    assert ended.status == 0, ended.err
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert {event["type"] for event in found} >= {"campaign", "job"}
    assert all(list(event) == ["type", "seq", "epoch", "at", "state"] for event in found)
    assert found[-1]["state"]["status"] == "completed"
    told = fleet("events", "--after", position, "--type", "job", "--count", "2").out
    assert told.count("\n") == 2
    assert f"{campaign}-job-0 pending" in told or f"{campaign}-job-0 running" in told


# Mistakes.


def test_an_orchestrator_that_is_away_is_exit_status_3_with_its_address(monkeypatch, model):
    monkeypatch.setattr("daemons.cli.asking.PATIENCE_S", 0.0)
    for arguments in (("queue",), ("watch", "campaign-1"), ("workers", "show", "mac-mini-3")):
        refused(run(*arguments, "--url", NOWHERE), NOWHERE, status=3)


def test_an_orchestrator_that_goes_away_meanwhile_is_exit_status_3_and_the_campaign_is_named(fleet, model, monkeypatch):
    async def gone(client, *_):
        assert client._patience_s == 60, "one that is started anew is waited for"
        raise OrchestratorUnavailable("no answer")

    monkeypatch.setattr(waiting, "_followed", gone)
    ended = fleet("submit", model, "--wait", "--json")
    assert (ended.status, ended.out) == (3, "")
    assert "no answer; it goes on, and `benchfleet watch campaign-" in ended.err


async def test_a_token_that_is_missing_wrong_or_not_enough_is_a_sentence(store, tmp_path):
    files = {}
    for role in ("operator", "viewer"):
        files[role] = tmp_path / f"{role}.token"
        files[role].write_text(f"{role}-secret-0123456789\n")
        files[role].chmod(0o600)
    (wrong := tmp_path / "wrong.token").write_text("wrong-secret-0123456789")
    tokens = {f"{role}_token_file": str(path) for role, path in files.items()}

    async def ended(*words, **environ):
        process = await asyncio.create_subprocess_exec(
            *BENCHFLEET,
            *words,
            env=environment(BENCHFLEET_URL=api.url, **environ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return Ended(process.returncode, out.decode(), err.decode())

    async with orchestrating(store, tmp_path / "outputs", http=HttpSettings(port=0, **tokens)) as api:
        missing, bad, low, enough = await asyncio.gather(
            ended("campaigns"),
            ended("campaigns", "--token-file", str(wrong)),
            ended("cancel", "campaign-1", BENCHFLEET_TOKEN_FILE=str(files["viewer"])),
            ended("campaigns", "--json", "--token-file", str(files["viewer"]), BENCHFLEET_TOKEN_FILE=str(wrong)),
        )
    refused(missing, "token")
    refused(bad, "token")
    refused(low, "operator")
    assert document(enough)["campaigns"] == []
    assert "secret" not in missing.err + bad.err + low.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("watch", "campaign-12"), ["campaign-12"]),
        (("watch", "../x"), ["no campaign"]),
        (("jobs", "show", "campaign-12-job-0"), ["campaign-12"]),
        (("cancel", "campaign-12"), ["campaign-12"]),
        (("workers", "show", "mac-mini-4"), ["did you mean 'mac-mini-3'?"]),
        (("workers", "mac-mini-3"), ["benchfleet workers show mac-mini-3"]),
        (("workers", "--status", "actve"), ["active"]),
        (("results", "--since", "yesterday"), ["a time with its zone"]),
        (("events", "--after", "x"), ["0123456789ab-42"]),
        (("submit", "none.onnx"), ["there is no file none.onnx"]),
        (("submit", "model:none.onnx"), ["none.onnx"]),
        (("submit", "ftp://x/y.onnx"), ["http://"]),
        (("submit", "none.yaml"), ["there is no such file"]),
        (("submit", "model:net.onnx", "--on", "CPU"), ["CPU (ONNX)"]),
        (("submit", "model:net.onnx", "--set", "treads=4"), ["did you mean `threads`?"]),
        (("submit", "model:net.onnx", "--set", "threads=many"), ["whole number"]),
        (("submit", "model:net.onnx", "--label", "branch"), ["KEY=VALUE"]),
        (("submit", "model:net.onnx", "--timeout", "5"), ["--wait"]),
        (("submit", "model:net.mlmodel"), ["--on"]),
        (("submit",), ["MODEL"]),
        (("camapigns",), ["did you mean 'campaigns'?"]),
        (("submit", "x", "--rnus", "5"), ["--runs"]),
        (("--url", "http://x", "queue"), ["after the command"]),
        (("queue", "--url", "nonsense"), ["http://HOST:PORT"]),
        (("queue", "--token-file", "/none"), ["/none"]),
    ],
    ids=" ".join,
)
def test_what_is_used_wrongly_is_one_sentence_and_exit_status_2(fleet, arguments, words):
    refused(fleet(*arguments), *words)


def test_a_campaign_file_with_mistakes_is_told_line_by_line_before_anything_is_sent(fleet, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("model_url: none.onnx\njobs:\n  - compute_unit: CPU (ONNX)\n    treads: 4\n")
    before = fleet.api("GET", "/models")[1]
    ended = fleet("submit", str(path))
    assert (ended.status, ended.out) == (2, "")
    assert [line.removeprefix(f"benchfleet: {path}:").partition(": ")[0] for line in ended.err.splitlines()] == [
        "1",
        "4",
    ]
    assert fleet.api("GET", "/models")[1] == before


def test_a_campaign_file_says_itself_where_it_runs(fleet):
    refused(fleet("submit", str(CAMPAIGNS[0]), "--runs", "3"), "change it there")


def test_an_interrupted_command_is_quiet(fleet, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("daemons.cli.queues._print", interrupted)
    ended = fleet("queue")
    assert (ended.status, ended.out) == (130, "")
    assert "Traceback" not in ended.err
