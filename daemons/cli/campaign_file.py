"""Campaigns as YAML files: the body of `POST /api/campaigns`, in which models may be files beside it.

What is no URL is a file, looked for from the folder of the campaign file. Every mistake is told at once, with file,
line and key.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from daemons.cli.packing import why_no_model
from daemons.core.errors import ConfigInvalid, InvalidInput
from daemons.core.inputs import mistakes_in
from daemons.core.models import CampaignRequest, JobSpec
from daemons.core.urls import KEPT, check_model_url
from daemons.core.validation import Mistake, find_mistakes, spell
from daemons.runtime.yaml_file import Document, KeyPath, read_document

Content = dict[str, Any]

STAND_IN: Final = f"{KEPT}file"
"""Takes the place of a local file while the rest is checked."""
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_REFERENCES: Final = ("model_url", "inputs_url")


class Prepared(NamedTuple):
    """A campaign that can be submitted once its files are uploaded."""

    content: Content
    files: dict[KeyPath, Path]
    """Where the content names a file of this machine."""

    def with_urls(self, urls: Mapping[Path, str]) -> Content:
        """The campaign, in which each file is named by what it is kept as."""
        content: Content = msgspec.to_builtins(self.content)
        for path, file in self.files.items():
            _put(content, path, urls[file])
        return content


def read_campaign(path: Path) -> Prepared:
    """The campaign in the file at `path`; ConfigInvalid with every mistake in it."""
    document = read_document(path)
    prepared, mistakes = prepare(document.content, path.parent)
    if mistakes:
        in_order = sorted(mistakes, key=lambda mistake: document.line_of(mistake.path))
        lines = tuple(_located(mistake, path, document) for mistake in in_order)
        raise ConfigInvalid("; ".join(lines), mistakes=lines)
    return prepared


def prepare(content: Content, folder: Path) -> tuple[Prepared, list[Mistake]]:
    """The campaign, with paths taken from `folder`; and every mistake in it."""
    files = {path: folder / text for path, text in references_in(content) if is_file_name(text)}
    mistakes = find_mistakes(content, CampaignRequest)
    mistakes += [Mistake(path, problem) for path, file in files.items() if (problem := _why_no_model(file))]
    prepared = Prepared(content, files)
    return prepared, [*mistakes, *_missing_from(content), *_in_urls(content), *_in_meaning(prepared)]


def is_file_name(text: str) -> bool:
    """Whether that names a file, and isn't a URL."""
    return _URL.match(text) is None


def references_in(content: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Where the campaign names something to be fetched, and what."""
    if isinstance(content, dict):
        for key, value in content.items():
            here = (*path, str(key))
            if key in _REFERENCES and isinstance(value, str):
                yield here, value
            elif here == ("matrix", "models") and isinstance(value, list):
                yield from (((*here, place), item) for place, item in enumerate(value) if isinstance(item, str))
            else:
                yield from references_in(value, here)
    elif isinstance(content, list):
        for place, item in enumerate(content):
            yield from references_in(item, (*path, place))


def _why_no_model(file: Path) -> str | None:
    """Why the file can't be uploaded; None if it can."""
    if not file.exists():
        return f"there is no file {file}; {_file_meant(file) or 'a URL begins with http://, https:// or model:'}"
    return why_no_model(file)


def _file_meant(file: Path) -> str | None:
    """Which file of that folder may be meant."""
    try:
        names = [one.name for one in file.parent.iterdir()]
    except OSError:
        return None
    close = difflib.get_close_matches(file.name, names, n=1)
    return f"did you mean {file.with_name(close[0])}?" if close else None


def _missing_from(content: Content) -> Iterator[Mistake]:
    """What no key asks for by itself, and yet must be somewhere."""
    if not content.get("jobs") and not content.get("matrix"):
        yield Mistake((), "a campaign needs at least one job: list them in `jobs`, or let a `matrix` make them")
    if all(path[-1] == "inputs_url" for path, _ in references_in(content)) and "model_url" not in content:
        yield Mistake((), "no model is named: say `model_url`, a URL or a file")


def _in_urls(content: Content) -> Iterator[Mistake]:
    for path, text in references_in(content):
        if not is_file_name(text):
            try:
                check_model_url(text, "")
            except InvalidInput as error:
                yield Mistake(path, str(error).removeprefix(": "))


def _in_meaning(prepared: Prepared) -> Iterator[Mistake]:
    """What is wrong in jobs although each key is right in itself; of addresses something is said elsewhere."""
    content = prepared.with_urls(dict.fromkeys(prepared.files.values(), STAND_IN))
    matrix = content.get("matrix")
    options = matrix.get("options") if isinstance(matrix, dict) else None
    found = [*mistakes_in(_specs(content.get("jobs"))), *mistakes_in(_specs(options), ("matrix", "options"))]
    yield from (mistake for mistake in found if mistake.path[-1] != "inputs_url")


def _specs(jobs: Any) -> list[JobSpec]:
    """The jobs in a list; one that is none is told of elsewhere, and keeps its place."""
    return [_spec(job) for job in jobs] if isinstance(jobs, list) else []


def _spec(job: Any) -> JobSpec:
    try:
        return msgspec.convert(job, JobSpec)
    except msgspec.ValidationError:
        return JobSpec()


def _put(content: Any, path: KeyPath, value: str) -> None:
    for step in path[:-1]:
        content = content[step]
    content[path[-1]] = value


def _located(mistake: Mistake, path: Path, document: Document) -> str:
    key = f"{spell(mistake.path)}: " if mistake.path else ""
    return f"{path}:{document.line_of(mistake.path)}: {key}{mistake.problem}"
