"""Campaign files: every mistake at once with its line, and files that are uploaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemons.cli.campaign_file import STAND_IN, is_file_name, prepare, read_campaign
from daemons.cli.uploading import kept_name
from daemons.core.errors import ConfigInvalid
from daemons.core.models import CampaignRequest
from daemons.core.urls import check_model_name
from daemons.core.validation import convert
from daemons.runtime.schema import settings_schema

CONFIG = Path(__file__).parents[3] / "config"
SHIPPED = sorted((CONFIG / "campaigns").glob("*.yaml"))


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "campaign.yaml"
        path.write_text(text)
        return path

    return write


def mistakes_in(path):
    with pytest.raises(ConfigInvalid) as caught:
        read_campaign(path)
    return [line.removeprefix(f"{path}:") for line in caught.value.mistakes]


def test_there_are_examples():
    assert {"smoke.yaml", "matrix.yaml", "every-device.yaml", "engine-versions.yaml"} <= {one.name for one in SHIPPED}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_shipped_examples_are_campaigns_of_files_that_are_there(path):
    prepared = read_campaign(path)
    assert prepared.files
    content = prepared.with_urls(dict.fromkeys(prepared.files.values(), STAND_IN))
    convert(content, CampaignRequest)
    assert path.read_text().startswith("# yaml-language-server: $schema=../schema/campaign.json\n")


def test_the_schema_is_the_types():
    """After a change: benchfleet check-config --for campaign --schema > config/schema/campaign.json."""
    made = settings_schema(CampaignRequest, "benchfleet campaign")
    assert (CONFIG / "schema/campaign.json").read_bytes() == made
    job = json.loads(made)["$defs"]["JobSpec"]["properties"]
    assert job["priority"]["description"] == "Higher goes first."


def test_every_mistake_is_told_at_once_in_the_order_of_lines(written):
    path = written(
        "modle_url: http://x/y.onnx\n"
        "name: x\n"
        "jobs:\n"
        "  - compute_unit: CPU (ONNX)\n"
        "    num_inference_runs: many\n"
        "  - compute_units: [CPU]\n"
        "    inputs_url: gone.npz\n"
        "  - compute_unit: CPU (ONNX)\n"
        "    extend: {max_runs: 5}\n"
        "    inputs:\n"
        "      x: {range: [3, 1]}\n"
        "matrix:\n"
        '  models: [gone.onnx, "ftp://x/y.onnx"]\n'
        "  compute_units: []\n"
        "  options: [{extend: {max_runs: 1}}]\n"
    )
    told = mistakes_in(path)
    assert [line.partition(": ")[0] for line in told] == ["1", "5", "6", "7", "9", "11", "13", "13", "14", "15"]
    assert told[0] == "1: modle_url: there is no such key; did you mean `model_url`?"
    assert told[1] == '5: jobs[0].num_inference_runs: must be a whole number from 1 to 100,000, and is "many"'
    assert "jobs[1].inputs_url: there is no file" in told[3]
    assert "jobs[2].extend.max_runs" in told[4]
    assert "jobs[2].inputs.x.range" in told[5]
    assert "matrix.models[0]: there is no file" in told[6]
    assert "matrix.models[1]: must begin with http://" in told[7]
    assert "matrix.options[0].extend.max_runs" in told[9]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: a campaign needs at least one job"),
        ("model_url: http://x/y\n", "1: a campaign needs at least one job"),
        ("jobs: [{compute_unit: a}]\n", "1: no model is named"),
        ("- a\n", "1: "),
        ("jobs: [\n", "is not valid YAML"),
        ("model_url: 17\njobs: []\n", "model_url"),
        ("model_url: net.onnx\nmodel_url: net.onnx\njobs: [{compute_unit: a}]\n", "stands here twice"),
        ("model_url: emty.onnx\njobs: [{compute_unit: a}]\n", "empty.onnx?"),
        ("model_url: none/of.onnx\njobs: [{compute_unit: a}]\n", "none/of.onnx; a URL begins with"),
        ("model_url: a b.onnx\njobs: [{compute_unit: a}]\n", "no file"),
        ("model_url: .\njobs: [{compute_unit: a}]\n", "is a folder; zip it"),
        ("model_url: empty.onnx\njobs: [{compute_unit: a}]\n", "is empty"),
    ],
)
def test_bad_files_are_sentences(written, tmp_path, text, said):
    (tmp_path / "empty.onnx").touch()
    assert any(said in line for line in mistakes_in(written(text))), text


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(ConfigInvalid, match="there is no such file"):
        read_campaign(tmp_path / "none.yaml")


def test_files_are_looked_for_beside_the_campaign_and_their_urls_put_in_their_place(written, tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets/net.onnx").write_bytes(b"net")
    (tmp_path / "x.npz").write_bytes(b"npz")
    prepared = read_campaign(
        written(
            "model_url: nets/net.onnx\n"
            "jobs: [{compute_unit: a, inputs_url: x.npz}, {compute_unit: a, model_url: model:other}]\n"
            "matrix: {models: ['https://example.org/y.onnx', nets/net.onnx], compute_units: [a]}\n"
        )
    )
    net, arrays = tmp_path / "nets/net.onnx", tmp_path / "x.npz"
    assert prepared.files == {
        ("model_url",): net,
        ("jobs", 0, "inputs_url"): arrays,
        ("matrix", "models", 1): net,
    }
    content = prepared.with_urls({net: "model:net.onnx", arrays: "model:x.npz"})
    assert content["model_url"] == "model:net.onnx"
    assert content["jobs"][0]["inputs_url"] == "model:x.npz"
    assert content["jobs"][1]["model_url"] == "model:other"
    assert content["matrix"]["models"] == ["https://example.org/y.onnx", "model:net.onnx"]
    assert prepared.content["model_url"] == "nets/net.onnx", "what was read stays as it is"


def test_an_input_that_is_called_like_a_reference_is_none(tmp_path):
    content = {"model_url": "http://x/y.onnx", "jobs": [{"compute_unit": "a", "inputs": {"model_url": {"value": 1}}}]}
    prepared, mistakes = prepare(content, tmp_path)
    assert not prepared.files
    assert not mistakes


@pytest.mark.parametrize("text", ["net.onnx", "./net.onnx", "/abs/net.onnx", "a:b.onnx", "nets/http:x"])
def test_what_has_no_scheme_is_a_file(text):
    assert is_file_name(text)


@pytest.mark.parametrize("text", ["https://x/y", "HTTP://x/y", "model:net", "ftp://x", "builtin:health-1"])
def test_what_has_a_scheme_is_none(text):
    assert not is_file_name(text)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("net.onnx", "net.onnx"),
        ("my net (1).onnx", "my-net-1-.onnx"),
        (".hidden.onnx", "hidden.onnx"),
        ("größe.onnx", "gr-e.onnx"),
        ("日本", "model"),
        ("sha256", "model"),
        ("a" * 300 + ".onnx", "a" * 195 + ".onnx"),
    ],
)
def test_a_file_may_be_called_what_it_likes(name, kept):
    assert kept_name(Path("/some/where") / name) == kept
    check_model_name(kept)
