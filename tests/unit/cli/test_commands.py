"""The command line: help that helps, sentences instead of tracebacks, output that a program can read."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from daemons.cli import COMMANDS, cli
from daemons.cli.tables import figure, remarks, results_table, spread
from daemons.core.results import COLUMNS
from tests.support.light_models import light_models
from tests.support.processes import BENCHFLEET, environment, run_command

EVIL = "[red]x\x1b[31m\u202e[blink].onnx"
SQUEEZENET = str(light_models() / "light_squeezenet.onnx")


@pytest.fixture
def call():
    return lambda *arguments: CliRunner().invoke(cli, arguments)


@pytest.fixture
def command(tmp_path):
    """A command run as a process, in an empty folder."""
    return lambda *arguments, **more: run_command(*map(str, arguments), cwd=tmp_path, timeout_s=60, **more)


def refused_with(done, status, *words):
    """That the command ended so, told in a sentence."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


def command_of(name):
    module, _, attribute = COMMANDS[name][0].partition(":")
    return getattr(importlib.import_module(module), attribute)


def examples_of(help_text):
    """The command lines in a help text."""
    after = help_text.partition("Examples:\n")[2]
    return [line.strip() for line in after.splitlines() if line.strip().startswith("benchfleet")]


@pytest.mark.parametrize("name", [*COMMANDS, None])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_help_shows_examples(call, name, option):
    result = call(*([name] if name else []), option)
    assert result.exit_code == 0
    assert examples_of(result.stdout)


def all_commands():
    """Every command and every one within a group, by the words that call it."""
    for name in COMMANDS:
        yield (name,), command_of(name)
        if isinstance(command_of(name), click.Group):
            yield from (((name, word), command) for word, command in command_of(name).commands.items())


@pytest.mark.parametrize("words", [words for words, _ in all_commands() if len(words) > 1], ids=" ".join)
def test_commands_in_groups_have_help_and_examples_too(call, words):
    result = call(*words, "--help")
    assert result.exit_code == 0
    assert examples_of(result.stdout)


@pytest.mark.parametrize("words", [(), *(words for words, _ in all_commands())], ids=" ".join)
def test_help_is_laid_out_as_it_is_meant(call, words):
    text = call(*words, "--help").stdout
    assert "\\b" not in text
    assert "\b" not in text


@pytest.mark.parametrize("words", [(), *(words for words, _ in all_commands())], ids=" ".join)
def test_every_example_is_a_command_line_that_is_understood(call, words):
    for line in examples_of(call(*words, "--help").stdout):
        name, *arguments = shlex.split(line.partition(" > ")[0])[1:]
        command = command_of(name)
        if isinstance(command, click.Group):
            command = command.commands[
                arguments.pop(0) if arguments[:1] and arguments[0] in command.commands else "list"
            ]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("--")} <= known, line


def test_every_option_is_explained():
    for words, command in all_commands():
        options = [one for one in command.params if isinstance(one, click.Option)]
        assert all(option.help for option in options), words


def test_every_option_that_takes_a_value_says_of_what_kind():
    for words, command in all_commands():
        options = [one for one in command.params if isinstance(one, click.Option) and words[0] in ASK_A_SERVER]
        assert all(option.is_flag or option.metavar or isinstance(option.type, click.Choice) for option in options)


ASK_A_SERVER = {
    "campaigns", "cancel", "drain", "events", "jobs", "models", "queue", "results", "retry", "submit", "undrain",
    "watch", "workers",
}  # fmt: skip


def test_what_asks_a_server_can_be_told_which_and_can_answer_a_program():
    for words, command in all_commands():
        if words[0] in ASK_A_SERVER and not isinstance(command, click.Group):
            options = {option for parameter in command.params for option in parameter.opts}
            assert {"--url", "--token-file", "--json"} <= options, words


def test_the_list_of_commands_is_what_there_is(call):
    shown = call("--help").stdout
    for name, (_, summary) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", shown, re.MULTILINE)


@pytest.mark.parametrize(("typed", "meant"), [("bnech", "bench"), ("wroker", "worker"), ("orchestrater", "orch")])
def test_a_mistyped_command_is_guessed(call, typed, meant):
    result = call(typed)
    assert result.exit_code == 2
    assert f"did you mean '{meant}" in result.stderr


def test_a_command_that_is_like_none_gets_the_list(call):
    assert "there are bench, campaigns, cancel" in call("xyzzy").stderr


def test_a_mistyped_option_is_guessed(call):
    result = call("bench", "--rums", "5", SQUEEZENET)
    assert result.exit_code == 2
    assert "--runs" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--runs", "0"], "1<=x<="),
        (["--loads", "many"], "not a valid integer"),
        (["--threads", "0"], "1<=x<=1024"),
        (["--timeout", "0"], "not in the range"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(call, arguments, allowed):
    result = call("bench", SQUEEZENET, *arguments)
    assert result.exit_code == 2
    assert allowed in result.stderr


def test_help_loads_nothing_that_it_does_not_show():
    heavy = {"aiohttp", "redis", "numpy", "onnxruntime", "onnx", "textual", "rich", "msgspec", "structlog", "asyncio"}
    code = (
        "import sys; from daemons.cli import cli; cli.main(['--help'], standalone_mode=False); "
        f"print('loaded:', *({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_a_missing_model_is_a_sentence(command):
    refused_with(command("bench", "gone.onnx"), 2, "gone.onnx", "no file")


def test_a_folder_is_no_model(command):
    refused_with(command("bench", "."), 2, "is a folder")


def test_a_page_that_was_saved_as_a_model_is_a_sentence(command, tmp_path):
    (tmp_path / "page.onnx").write_text("<!DOCTYPE html><html><title>404</title></html>")
    done = command("bench", "page.onnx")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    assert re.search(r"page\.onnx on CPU \(ONNX\): \S", done.stdout)


def test_a_unit_that_is_not_there_is_a_sentence(command):
    done = command("bench", SQUEEZENET, "--unit", "NPU (Dream)")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("benchfleet: no engine here serves NPU (Dream); served are CPU (ONNX)")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_json_is_one_flat_document_with_the_columns_of_the_csv(command):
    done = command("bench", SQUEEZENET, "--runs", "3", "--loads", "2", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    apart = {"Samples", "Conditions"}  # what no cell of a row holds
    assert set(document) - apart <= set(COLUMNS)
    assert document["Status"] == "Complete"
    assert (document["InferenceRuns"], document["LoadRuns"]) == (3, 2)
    assert len(document["ModelHash"]) == 64
    assert not any(isinstance(value, dict) for name, value in document.items() if name not in apart)


def test_json_tells_a_failure_too(command, tmp_path):
    (tmp_path / "page.onnx").write_text("<html>")
    done = command("bench", "page.onnx", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["Status"], document["FileName"]) == ("Failed", "page.onnx")
    assert document["Remark"]


def test_in_a_pipe_there_are_no_escape_codes(command):
    done = command("bench", SQUEEZENET, "--runs", "3", "--loads", "1", TERM="xterm-256color")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "light_squeezenet.onnx" in done.stdout
    assert "inference (ms)" in done.stdout


def test_a_model_may_be_called_what_it_likes(command, tmp_path):
    (tmp_path / EVIL).write_bytes(Path(SQUEEZENET).read_bytes())
    done = command("bench", EVIL, "--runs", "1", "--loads", "1")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "[red]x" in done.stdout


def test_info_is_a_document(command):
    done = command("info", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["capabilities"][0] == "CPU (ONNX)", "the engine that benchfleet depends on is asked first"
    assert not set(document["capabilities"]) & set(document["not_offered"])
    assert document["device_info"]["DeviceOs"]
    assert document["device_info"]["Engines"]["ONNX Runtime"]
    assert document["not_offered"]["GPU (ONNX)"]
    assert document["device_name"] == socket.gethostname()


def test_info_is_a_table(command):
    done = command("info")
    assert done.returncode == 0
    assert "CPU (ONNX)" in done.stdout
    assert "not offered" in done.stdout
    assert "\x1b" not in done.stdout


def test_up_listens_to_nobody_else_without_tokens(command, tmp_path):
    done = command("up", "--host", "0.0.0.0", "--port", "0", "--data-dir", tmp_path / "data", "--workers", "0")
    assert done.returncode in (1, 78)
    assert "Traceback" not in done.stderr
    assert "token" in done.stderr


def test_up_says_that_its_port_is_taken(command, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("up", "--port", port, "--data-dir", tmp_path / "data", "--workers", "0")
    assert done.returncode in (1, 78)
    assert "Traceback" not in done.stderr
    assert str(port) in done.stderr
    assert "in use" in done.stderr


@pytest.mark.parametrize("program", ["orchestrator", "worker"])
def test_a_missing_configuration_is_named(command, program):
    refused_with(command(program, "--config", "missing.yaml"), 78, "missing.yaml")


def test_a_mistake_in_a_configuration_is_named_with_its_place(command, tmp_path):
    (tmp_path / "lab.yaml").write_text("http:\n  prot: 5000\n")
    refused_with(command("orchestrator", "--config", "lab.yaml"), 78, "lab.yaml", "prot", "port")


def test_the_program_tells_its_version(command):
    done = command("--version")
    assert re.fullmatch(r"benchfleet, version \d+\.\d+\.\d+\n", done.stdout)


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    line = shlex.join([*BENCHFLEET, "--help"]) + " | true; exit ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment(), check=False)
    assert "Traceback" not in done.stderr


# Tables.


def printed(table):
    console = Console(width=200, color_system="truecolor", force_terminal=True, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_a_table_obeys_no_name():
    row = {"FileName": EVIL, "ComputeUnits": "[link=http://evil]u (v)", "Status": "[blink]Failed"}
    text = printed(results_table([row]))
    assert "[red]x\\x1b[31m\\u202e" in text
    assert "[link=http://evil]u (v)" in text
    assert "[blink]Failed" in text


def test_remarks_obey_nobody_either():
    (line,) = remarks([{"FileName": EVIL, "ComputeUnits": "u", "Remark": "[bold]boo\x1b]0;title\x07"}])
    text = printed(line)
    assert "[bold]boo\\x1b]0;title\\x07" in text


def test_every_warning_is_a_remark():
    rows = [{"FileName": "a", "ComputeUnits": "u", "Warnings": ["one", "two"]}, {"FileName": "b"}]
    assert remarks(rows) == ["a: one", "a: two"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "—"),
        (0.0123456, "0.0123"),
        (4.22555, "4.226"),
        (42.2555, "42.26"),
        (12345.678, "12,346"),
        (0.0, "0.0000"),
        ("text", "text"),
    ],
)
def test_figures_keep_four_digits_and_the_unknown_is_a_dash(value, shown):
    assert figure(value) == shown


def test_a_single_value_has_no_spread():
    assert spread({"LoadMsMedian": 12.0}, "Load") == "12.00"
    assert spread({"LoadMsMedian": 12.0, "LoadMsStdDev": 0.5}, "Load") == "12.00 ± 0.50"
