"""One table makes the router, the guard and the checks of a request: what it declares is so."""

from __future__ import annotations

import json
import re

import pytest

from daemons.orchestrator.api.app import ROUTES
from daemons.orchestrator.api.routes import PATH_PARAMETERS
from tests.support.contract import disagreements, route_of
from tests.support.orchestrator import filled, finite

READING = [route for route in ROUTES if route.method == "GET"]


def test_every_route_is_there_once_and_is_described():
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        assert route.handler.__doc__, route.path
        assert route.answers, route.path
        assert set(re.findall(r"{(\w+)}", route.path)) <= PATH_PARAMETERS.keys()


async def test_head_is_get_without_a_body(api):
    for route in READING:
        asked = await api("GET", finite(route))
        headed = await api("HEAD", filled(route.path))
        assert (headed.status, headed.document) == (asked.status, ""), route.path
        assert headed.headers["Content-Type"] == asked.headers["Content-Type"], route.path


async def test_a_parameter_that_is_not_there_is_refused_with_those_that_are(api):
    for route in ROUTES:
        answer = await api(route.method, f"{filled(route.path)}?surely_not=1")
        assert (answer.status, answer.is_problem, answer.document["field"]) == (400, True, "surely_not"), route.path
        known = [] if route.query is None else route.query.__struct_encode_fields__
        assert all(name in answer.document["error"] for name in known or ["takes none"]), route.path


async def test_other_methods_are_405_and_the_answer_names_those_that_are_taken(api):
    for path in {route.path for route in ROUTES}:
        taken = {route.method for route in ROUTES if route.path == path}
        taken |= {"HEAD"} if "GET" in taken else set()
        for method in {"GET", "DELETE", "PATCH", "POST", "PUT", "OPTIONS", "TRACE"} - taken:
            answer = await api(method, filled(path))
            assert (answer.status, answer.is_problem) == (405, True), (method, path)
            assert set(answer.headers["Allow"].split(",")) == taken


BAD_QUERIES = [
    ("/campaigns?limit=ten", "limit", "a whole number from 1 to 1,000"),
    ("/campaigns?limit=2.5", "limit", "a whole number"),
    ("/campaigns?limit=99999999999999999999999", "limit", "1,000"),
    ("/campaigns?limit=", "limit", "a whole number"),
    ("/campaigns?limit=5&limit=6", "limit", "2 times"),
    ("/campaigns?limt=5", "limt", "did you mean limit"),
    ("/campaigns?kind=null", "kind", "one of all, benchmark, health"),
    ("/campaigns?cursor=null", "cursor", "a whole number"),
    ("/campaigns?cursor=-1", "cursor", "a whole number"),
    ("/results/all?since=0.5", "since", "2025-01-09T14:13:20Z"),
    ("/results/all?since=2025-01-09T14:13:20", "since", "a time with its zone"),
    ("/campaigns?cursor=%00", "cursor", "\\u0000"),
]


@pytest.mark.parametrize(("path", "field", "words"), BAD_QUERIES)
async def test_a_wrong_parameter_is_refused_with_what_it_takes(api, path, field, words):
    answer = await api("GET", path)
    assert (answer.status, answer.is_problem, answer.document["field"]) == (400, True, field)
    assert words in answer.document["error"]


async def test_a_flag_without_a_value_says_yes(api):
    worker = await api.worker()
    assert (await api("DELETE", f"/workers/{worker}?force")).status == 200


def test_the_tests_own_check_of_answers_finds_what_is_not_declared():
    campaign = {"worker_id": "worker-0", "status": "active"}
    path = "/api/workers/worker-0/goodbye"
    assert route_of("POST", path).path == "/api/workers/{worker_id}/goodbye"

    def wrong(document, status=200, content_type="application/json"):
        return disagreements("POST", path, status, content_type, json.dumps(document).encode())

    assert wrong(campaign) == []
    assert wrong(campaign | {"extra": 1}) == [".extra is not declared"]
    assert wrong(campaign | {"status": "tired"})
    assert wrong({"worker_id": "worker-0"})
    assert wrong(campaign, content_type="text/html")
    assert wrong(campaign, status=201)
