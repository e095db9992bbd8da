"""Makes an environment that has one version of an engine: Python's own venv, then pip, in processes that end with us.

What the environment holds wins over what the worker has, and what it lacks, benchfleet's own code and the engine's
plug-in among that, is found where the worker finds it: a .pth file, written last, puts the worker's own import paths
after the environment's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import site
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

import daemons
from daemons.core.requirement import Requirement, normalized, release_of
from daemons.runtime.tether import tethered
from daemons.worker.bench.process import child_environ
from daemons.worker.engines.inventory import Inventory
from daemons.worker.pip_words import last_words, why_pip_failed, why_venv_failed

LOG: Final = "pip.log"
MAX_LOG_BYTES: Final = 2**18
PATHS_FILE: Final = "zzz_benchfleet.pth"
"""Read after the .pth files that packages bring, so that what they add to the path comes first too."""

PIP_OPTIONS: Final = (
    "--only-binary=:all:",  # a source distribution would run its build on this device
    "--no-input",
    "--disable-pip-version-check",
    "--no-warn-script-location",
    "--progress-bar=off",
)

NEEDED_WITH: Final = {"onnxruntime": ((1, 19), "numpy<2")}
"""Package → a release, and what every earlier one needs beside it without saying so: they break with NumPy 2."""

KEPT_FOR_PIP: Final = frozenset(
    {"XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_CACHE_HOME", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    | {name for proxy in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (proxy, proxy.upper())}
)
ELSEWHERE: Final = frozenset(
    f"PIP_{name}" for name in ("TARGET", "USER", "PREFIX", "ROOT", "PYTHON", "DRY_RUN", "NO_DEPS", "NO_BINARY", "LOG")
)
"""Settings of pip that would have it install to another place, or other things than were asked for."""


class NotInstalled(Exception):
    """There is no such environment; the text says why."""


class ImportPaths(Struct, frozen=True):
    """Where this process finds what it imports, other than the standard library."""

    sites: tuple[str, ...]
    """Folders of installed packages, with .pth files to be obeyed."""
    others: tuple[str, ...]


def own_import_paths(environ: Mapping[str, str] = os.environ) -> ImportPaths:
    """Of this process: $PYTHONPATH, the folders of installed packages, and the checkout that benchfleet is run from."""
    sites = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    given = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    own = Path(daemons.__file__).parents[1]
    others = dict.fromkeys(str(Path(path).absolute()) for path in (*given, str(own)))
    return ImportPaths(tuple(dict.fromkeys(sites)), tuple(path for path in others if path not in sites))


def interpreter_of(folder: Path) -> Path:
    """The environment's own Python."""
    return folder / "bin" / "python"


def companions(wanted: Requirement) -> tuple[str, ...]:
    """What has to be installed beside it, where that is known and its wheels don't say it."""
    before, companion = NEEDED_WITH.get(normalized(wanted.package), ((), ""))
    return (companion,) if release_of(wanted.version) < before else ()


async def install(folder: Path, wanted: Requirement, index_url: str | None, paths: ImportPaths) -> dict[str, str]:
    """Make the environment in the empty `folder`; the version of each package in it, by normalized name.

    Raises NotInstalled. Cancelled, it leaves no process behind, and a folder that is of no use.
    """
    log, python = folder / LOG, str(interpreter_of(folder))
    if await _ended([sys.executable, "-I", "-m", "venv", str(folder)], log) != 0:
        raise NotInstalled(f"no environment can be made for {wanted}: {why_venv_failed(_text_of(log))}")
    if await _ended(pip_command(python, wanted, index_url), log) != 0:
        raise NotInstalled(why_pip_failed(_text_of(log), wanted))
    (folder_of_packages(folder) / PATHS_FILE).write_text(pth_line(paths), "utf-8")
    return await _taken_stock(folder, wanted)


def pip_command(python: str, wanted: Requirement, index_url: str | None) -> list[str]:
    """What installs `wanted`, and what it needs beside it, where `python` is."""
    index = () if index_url is None else (f"--index-url={index_url}",)
    return [python, "-I", "-m", "pip", "install", *PIP_OPTIONS, *index, str(wanted), *companions(wanted)]


def folder_of_packages(folder: Path) -> Path:
    """Where the environment's packages are."""
    paths = sysconfig.get_paths("venv", vars={"base": str(folder), "platbase": str(folder)})
    return Path(paths["purelib"])


def pth_line(paths: ImportPaths) -> str:
    """The line of a .pth file that appends `paths` to the import path, and obeys the .pth files in its sites.

    Such a line runs inside a function, where a comprehension would not see what the line has imported.
    """
    sites = list(paths.sites)
    return f"import site, sys; sys.path.extend({list(paths.others)!r}); list(map(site.addsitedir, {sites!r}))\n"


async def _taken_stock(folder: Path, wanted: Requirement) -> dict[str, str]:
    """What the environment's interpreter finds, when it is started as the measuring process is."""
    log, told = folder / LOG, folder / "inventory.json"
    command = [str(interpreter_of(folder)), "-P", "-m", "daemons.worker.engines.inventory", str(told)]
    if await _ended(command, log, child_environ(os.environ, is_own=False)) != 0:
        raise NotInstalled(f"the environment for {wanted} can't be used: {last_words(_text_of(log))}")
    found = msgspec.json.decode(told.read_bytes(), type=Inventory)
    if found.elsewhere:
        raise NotInstalled(
            f"the environment for {wanted} can't be used: {', '.join(found.elsewhere)} would be imported from elsewhere"
        )
    if normalized(wanted.package) not in found.versions:
        raise NotInstalled(f"the environment for {wanted} can't be used: pip did not install {wanted.package}")
    return found.versions


async def _ended(command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> int:
    """The exit status of a command; what it says goes into `log`. It is killed with all that it started at the end."""
    with log.open("ab") as words:
        process = await asyncio.create_subprocess_exec(
            *tethered(command, sent=signal.SIGKILL),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env=pip_environ(os.environ) if environ is None else environ,
            start_new_session=True,
        )
    try:
        return await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


def pip_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What of the environment pip gets: its own settings, proxies and certificates, and no secret of ours."""
    plain = child_environ(environ, is_own=False)
    kept = {name for name in environ if name.startswith("PIP_") and name not in ELSEWHERE} | KEPT_FOR_PIP
    return plain | {name: value for name, value in environ.items() if name in kept}


def _text_of(log: Path) -> str:
    """The end of a log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - MAX_LOG_BYTES))
        return file.read().decode("utf-8", errors="replace")
