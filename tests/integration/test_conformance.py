"""The conformance suite as an engine's author runs it: the example of docs/engines.md passes, broken ones don't."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
SUITE = "daemons.worker.engines.conformance"
TIMEOUT_S = 300


def code_blocks(language):
    page = (ROOT / "docs/engines.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


@pytest.fixture
def installed(tmp_path):
    """A folder on the path of Python with the example's package in it, as pip would have put it there."""
    (code,), (project,) = code_blocks("python"), code_blocks("toml")
    (tmp_path / "reference_engine.py").write_text(code)
    about = tomllib.loads(project)["project"]
    install(tmp_path, about["name"], about["entry-points"]["benchfleet.engines"])
    return tmp_path


def install(folder, name, points):
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "\n".join(f"{point} = {value}" for point, value in points.items())
    (info / "entry_points.txt").write_text(f"[benchfleet.engines]\n{lines}\n")


def run_suite(folder, *selection):
    """Runs the suite away from this project's own configuration; the outcome of each test by its name."""
    report = folder / f"report-{abs(hash(selection))}.xml"
    command = [sys.executable, "-m", "pytest", "--pyargs", SUITE, "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run(
        [*command, *selection],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    return {case.get("name"): outcome(case) for case in ET.parse(report).iter("testcase")}


def run_shares(folder, names):
    """The outcomes for all of these engines, in as many runs at a time as there are processors."""
    count = os.cpu_count() or 1
    shares = [" or ".join(f"broken-{name}" for name in names[place::count]) for place in range(count)]
    with ThreadPoolExecutor(count) as pool:
        runs = pool.map(lambda share: run_suite(folder, "-k", share), filter(None, shares))
        return {case: how for run in runs for case, how in run.items()}


def outcome(case):
    kinds = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
    return kinds[0] if kinds else "passed"


def test_the_example_of_the_page_passes(installed):
    found = run_suite(installed, "-k", "reference")
    assert {name for name, how in found.items() if how in {"failure", "error"}} == set()
    assert sum(how == "passed" for how in found.values()) > 45
    assert found["test_a_job_is_complete_with_all_its_figures[reference-CPU (Reference)]"] == "passed"
    assert found["test_checked_outputs_agree[reference-CPU (Reference)]"] == "passed"
    assert not [name for name in found if "onnxruntime" in name], "-k chooses"


@pytest.mark.timeout(TIMEOUT_S)
def test_broken_engines_fail_in_the_tests_that_name_what_they_break(installed):
    (installed / "broken_engines.py").write_text((ROOT / "tests/support/broken_engines.py").read_text())
    sys.path.insert(0, str(installed))
    try:
        import broken_engines  # noqa: PLC0415 (it lies beside the example, which the page holds)
    finally:
        sys.path.remove(str(installed))
    broken = broken_engines.FAILS
    install(installed, "broken-engines", {f"broken-{name}": f"broken_engines:{name}" for name in broken})
    failed: dict[str, set[str]] = {name: set() for name in broken}
    for case, how in run_shares(installed, sorted(broken)).items():
        test, _, subject = case.partition("[broken-")
        if how in {"failure", "error"}:
            failed[re.split(r"[-\]]", subject)[0]].add(test)
    assert {name: sorted(tests) for name, tests in failed.items()} == {
        name: sorted(tests) for name, tests in broken.items()
    }
