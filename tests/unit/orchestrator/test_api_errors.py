"""Every error of the tree has a status and a code, and becomes one kind of document."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from daemons.core import errors
from daemons.orchestrator.api.errors import code_of, problem_of, problem_of_http, status_of

WANTED = {
    errors.InvalidInput: (400, "invalid_input"),
    errors.TooLarge: (413, "too_large"),
    errors.UnsupportedMediaType: (415, "unsupported_media_type"),
    errors.WrongHash: (422, "wrong_hash"),
    errors.NotFound: (404, "not_found"),
    errors.Conflict: (409, "conflict"),
    errors.StaleAttempt: (409, "stale_attempt"),
    errors.WorkerReplaced: (409, "worker_replaced"),
    errors.PreconditionFailed: (412, "precondition_failed"),
    errors.NoRoom: (507, "no_room"),
    errors.NotAllowed: (403, "not_allowed"),
    errors.NotAuthenticated: (401, "not_authenticated"),
    errors.StoreUnavailable: (503, "store_unavailable"),
    errors.Unavailable: (503, "unavailable"),
    errors.ConfigInvalid: (500, "config_invalid"),
}


@pytest.mark.parametrize("kind", WANTED)
def test_status_and_code_of_each_kind(kind):
    error = kind("a sentence that a person can act on")
    assert (status_of(error).value, code_of(error)) == WANTED[kind]
    document = json.loads(problem_of(error).body)
    assert document["error"] == document["detail"] == "a sentence that a person can act on"
    assert (document["status"], document["code"]) == WANTED[kind]
    assert document["type"] == "about:blank"
    assert problem_of(error).content_type == "application/problem+json"


def test_what_may_pass_says_when_to_come_back_and_a_missing_token_how_to_show_one():
    assert problem_of(errors.StoreUnavailable("away")).headers["Retry-After"] == "2"
    assert problem_of(errors.NotAuthenticated("who?")).headers["WWW-Authenticate"].startswith("Bearer")
    assert "Retry-After" not in problem_of(errors.Conflict("no")).headers


def test_a_mistake_names_its_field_and_all_others():
    document = json.loads(problem_of(errors.InvalidInput("a; b", field="jobs[0]", mistakes=("a", "b"))).body)
    assert (document["field"], document["mistakes"]) == ("jobs[0]", ["a", "b"])


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (web.HTTPNotFound(), "/here"),
        (web.HTTPMethodNotAllowed("PATCH", ["GET", "PUT"]), "GET,PUT"),
        (web.HTTPRequestTimeout(), "in time"),
        (web.HTTPExpectationFailed(), "Expectation Failed"),
    ],
)
def test_what_aiohttp_refuses_is_the_same_document(error, word):
    response = problem_of_http(error, make_mocked_request("PATCH", "/here"))
    document = json.loads(response.body)
    assert document["status"] == response.status == error.status
    assert word in document["error"]
