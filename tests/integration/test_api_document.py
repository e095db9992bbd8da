"""The API's document and its page: valid, whole, and enough in themselves."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from daemons.core.settings import HttpSettings
from daemons.orchestrator.api.app import ROUTES, SUBJECTS
from daemons.orchestrator.api.docs import page
from daemons.orchestrator.api.openapi import openapi
from tests.support.orchestrator import orchestrating

DOCUMENT = openapi(SUBJECTS, "1.2.3")
OPERATIONS = [
    (method, path, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
]


def test_the_document_is_openapi_3_1():
    mistakes = [str(error) for error in jsonschema_rs.Draft202012Validator(OPENAPI_31).iter_errors(DOCUMENT)]
    assert mistakes == []
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_every_schema_in_it_is_one():
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}), name


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from references(item)


def test_everything_that_it_refers_to_is_in_it():
    for reference in set(references(DOCUMENT)):
        held = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            held = held[step]


def test_every_route_is_in_it_once_and_is_described():
    assert {(method.upper(), f"/api{path}") for method, path, _ in OPERATIONS} == {
        (route.method, route.path) for route in ROUTES
    }
    assert len({operation["operationId"] for _, _, operation in OPERATIONS}) == len(ROUTES)
    for _, path, operation in OPERATIONS:
        assert operation["summary"], path
        assert operation["description"].endswith("."), path
        for parameter in operation["parameters"]:
            assert parameter["description"], (path, parameter["name"])


def test_what_is_sent_to_others_is_in_it():
    post = DOCUMENT["webhooks"]["campaignEnded"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/CampaignEnded")
    assert {one["name"] for one in post["parameters"]} == {
        "Benchfleet-Delivery",
        "Benchfleet-Timestamp",
        "Benchfleet-Signature",
    }


def test_types_and_fields_are_described_by_their_docstrings():
    schemas = DOCUMENT["components"]["schemas"]
    assert all(schema.get("description") for schema in schemas.values())
    assert schemas["JobSpec"]["properties"]["priority"]["description"] == "Higher goes first."
    assert schemas["JobResult"]["properties"]["FileSize"]["description"] == "Bytes of the model as fetched."
    assert "null: until" in schemas["JobSpec"]["properties"]["warmup_runs"]["description"]


def test_what_was_made_and_what_is_listed_leads_to_the_requests_about_it():
    operations = {operation["operationId"]: operation for _, _, operation in OPERATIONS}
    made = operations["campaigns_submit"]["responses"]["201"]["links"]
    assert made["campaigns_show"]["parameters"] == {"campaign_id": "$response.body#/campaign_id"}
    assert made["jobs_cancel"]["parameters"] == {"job_id": "$response.body#/jobs/0/job_id"}
    listed = operations["workers_list_workers"]["responses"]["200"]["links"]
    assert listed["agents_heartbeat"]["parameters"] == {"worker_id": "$response.body#/workers/0/worker_id"}
    for operation in operations.values():
        for answer in operation["responses"].values():
            assert all(link["operationId"] in operations for link in answer.get("links", {}).values())


def examples():
    for method, path, operation in OPERATIONS:
        for place in (operation.get("requestBody"), *operation["responses"].values()):
            for media, held in (place or {}).get("content", {}).items():
                if "example" in held:
                    yield pytest.param(held["schema"], held["example"], id=f"{method} {path} {media}")


@pytest.mark.parametrize(("schema", "example"), examples())
def test_every_example_is_of_its_type(schema, example):
    jsonschema_rs.validate({**schema, "components": DOCUMENT["components"]}, example)


def test_the_seeds_requests_have_examples():
    exemplified = {(method, path) for method, path, operation in OPERATIONS if "example" in json.dumps(operation)}
    assert {("post", "/campaigns"), ("post", "/register"), ("post", "/jobs/{job_id}/result")} <= exemplified


async def test_it_is_served_as_json(api):
    answer = await api("GET", "/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.document["paths"] == DOCUMENT["paths"]


async def test_the_page_needs_nothing_from_elsewhere_and_says_so(api):
    answer = await api("GET", "/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", answer.document, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy
    assert not re.search(r"<script|<link|<img|style=|src=|@import|url\(", answer.document)


def test_the_page_tells_of_every_request_and_type_and_its_links_lead_somewhere():
    html = page(DOCUMENT)
    for _, path, operation in OPERATIONS:
        assert f"<code>/api{path}</code>" in html
        assert f"id='{operation['operationId']}'" in html
    for name in DOCUMENT["components"]["schemas"]:
        assert f"id='type-{name}'" in html
    anchors = set(re.findall(r"id='([^']+)'", html))
    assert set(re.findall(r"href='#([^']+)'", html)) <= anchors


def test_what_the_page_shows_is_escaped():
    hostile = "<script>alert(1)</script>"
    document = json.loads(json.dumps(DOCUMENT).replace("Higher goes first.", hostile))
    document["info"]["version"] = hostile
    assert hostile not in page(document)
    assert page(document).count("&lt;script&gt;") == 2


async def test_the_documents_are_open_where_there_are_tokens(store, tmp_path):
    files = {}
    for role in ("worker", "operator"):
        path = tmp_path / role
        path.write_text(f"{role}-0123456789abcdef")
        path.chmod(0o600)
        files[f"{role}_token_file"] = str(path)
    async with orchestrating(store, tmp_path / "outputs", http=HttpSettings(port=0, **files)) as api:
        assert (await api("GET", "/docs")).status == (await api("GET", "/openapi.json")).status == 200
        assert (await api("GET", "/health")).status == 401
