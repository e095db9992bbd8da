"""A campaign of several models: each is pinned, kept, fetched and named by itself."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from tests.support.model_server import serving_models
from tests.support.store import CPU, URL, dump

BYTES = {"Content-Type": "application/octet-stream"}
OTHER, THIRD = "http://models.example/dir/other.onnx", "http://me:secret@models.example/third.onnx"


def sha(content):
    return hashlib.sha256(content).hexdigest()


async def made(api, **campaign):
    answer = await api("POST", "/campaigns", campaign)
    assert answer.status == 201, answer.document
    return answer.document["campaign_id"]


def jobs_with(*models):
    return [{"compute_unit": CPU} | ({"model_url": url} if url else {}) for url in models]


async def models_of(api, campaign):
    shown = (await api("GET", f"/campaigns/{campaign}")).document["models"]
    return [(model["model_url"], model["model_sha256"], model["jobs"]) for model in shown]


async def run(api, worker, **figures):
    job = await api.claim(worker)
    assert (await api.report(worker, job, **figures)).status == 200
    return job["model_url"], job["model_sha256"]


async def test_each_model_is_pinned_by_the_first_device_that_has_fetched_it(api):
    worker = await api.worker()
    campaign = await made(api, model_url=URL, jobs=jobs_with(None, OTHER, OTHER, URL))
    assert await run(api, worker, ModelHash=sha(b"own")) == (URL, None)
    assert await run(api, worker, ModelHash=sha(b"other")) == (OTHER, None)
    assert await models_of(api, campaign) == [(URL, sha(b"own"), 2), (OTHER, sha(b"other"), 2)]
    assert await run(api, worker, ModelHash=sha(b"another")) == (OTHER, sha(b"other"))
    assert await run(api, worker) == (URL, sha(b"own"))
    shown = (await api("GET", f"/campaigns/{campaign}")).document
    assert (shown["model_url"], shown["model_sha256"], shown["models_total"]) == (URL, sha(b"own"), 2)
    assert await models_of(api, campaign) == [(URL, sha(b"own"), 2), (OTHER, sha(b"other"), 2)]


async def test_rows_are_named_by_the_model_of_their_job_also_where_no_device_has_named_it(api):
    worker = await api.worker()
    campaign = await made(api, model_url=URL, jobs=jobs_with(None, OTHER, OTHER))
    await run(api, worker, FileName="measured.onnx", FileSize=7)
    await run(api, worker)
    await api("POST", f"/campaigns/{campaign}/cancel")
    rows = (await api("GET", f"/campaigns/{campaign}/results?format=json")).document["results"]
    assert [(row["Status"], row["FileName"], row["FileSize"]) for row in rows] == [
        ("Complete", "measured.onnx", 7),
        ("Complete", "other.onnx", None),
        ("Cancelled", "other.onnx", None),
    ]


async def test_a_retry_is_about_the_same_bytes(api):
    worker = await api.worker()
    campaign = await made(api, model_url=URL, jobs=jobs_with(None, OTHER))
    await run(api, worker)
    job = await api.claim(worker)
    await api.report(worker, job, "Failed", ModelHash=sha(b"other"))
    await api("POST", f"/campaigns/{campaign}/retry")
    assert await run(api, worker) == (OTHER, sha(b"other"))


async def test_a_campaign_may_have_no_model_of_its_own(api):
    campaign = await made(api, matrix={"models": [OTHER, URL], "compute_units": [CPU]})
    assert await models_of(api, campaign) == [(OTHER, None, 1), (URL, None, 1)]
    worker = await api.worker()
    assert [(await run(api, worker))[0] for _ in range(2)] == [OTHER, URL]


async def test_one_model_named_twice_is_one_model(api):
    campaign = await made(api, model_url=URL, jobs=jobs_with(URL, None), matrix={"compute_units": [CPU]})
    shown = (await api("GET", f"/campaigns/{campaign}")).document
    assert (shown["models_total"], len(shown["models"])) == (1, 1)


async def test_a_campaign_that_is_deleted_takes_its_models_along(api, store):
    campaign = await made(api, model_url=URL, jobs=jobs_with(None, OTHER))
    await api("POST", f"/campaigns/{campaign}/cancel")
    assert (await api("DELETE", f"/campaigns/{campaign}")).status == 200
    assert [key for key in await dump(store) if campaign in key] == []


async def test_passwords_in_the_addresses_of_models_are_shown_to_the_device_alone(api):
    body = {"model_url": URL, "jobs": [{"compute_unit": CPU, "model_url": THIRD, "inputs_url": f"{THIRD}.npz"}]}
    answer = await api("POST", "/campaigns", body)
    campaign, hidden = answer.document["campaign_id"], THIRD.replace("me:secret@", "")
    assert answer.document["jobs"][0]["model_url"] == hidden
    for path in (f"/campaigns/{campaign}", "/campaigns", f"/jobs?campaign_id={campaign}", f"/jobs/{campaign}-job-0"):
        assert "secret" not in str((await api("GET", path)).document)
    options = (await api("GET", f"/jobs/{campaign}-job-0")).document["job"]["options"]
    assert (options["model_url"], options["inputs_url"]) == (hidden, f"{hidden}.npz")
    assert (await api.claim(await api.worker()))["model_url"] == THIRD


@pytest.mark.parametrize(
    ("campaign", "field"),
    [
        ({"model_url": URL, "jobs": jobs_with(None, "ftp://a/m")}, "jobs[1].model_url"),
        ({"matrix": {"models": [URL, "model:../x"], "compute_units": [CPU]}}, "matrix.models[1]"),
        ({"matrix": {"models": [URL, "model:none"], "compute_units": [CPU]}}, "matrix.models[1]"),
        ({"jobs": jobs_with(URL, "model:none")}, "jobs[1].model_url"),
        (
            {"model_url": URL, "matrix": {"compute_units": [CPU], "options": [{"inputs_url": "x"}]}},
            "matrix.options[0].inputs_url",
        ),
        ({"matrix": {"models": [], "compute_units": [CPU]}}, "matrix.models"),
        ({"jobs": [*jobs_with(URL), {"compute_unit": CPU, "model_url": ""}]}, "jobs[1].model_url"),
        (
            {"model_url": URL, "matrix": {"compute_units": [CPU], "options": [{"inputs_url": "model:none"}]}},
            "matrix.options[0].inputs_url",
        ),
        ({"model_url": URL, "jobs": [{"compute_unit": CPU, "inputs_url": "model:none"}]}, "jobs[0].inputs_url"),
    ],
)
async def test_a_model_that_nobody_could_have_is_refused_with_the_field_that_names_it(api, campaign, field):
    answer = await api("POST", "/campaigns", campaign)
    assert (answer.status, answer.document["field"]) == (400, field), answer.document
    assert answer.document["error"].startswith(f"{field}: ")


# Kept by the orchestrator


async def test_kept_models_mean_the_bytes_that_they_had_and_stay_until_the_end(api):
    for name in ("a.onnx", "b.onnx"):
        await api("PUT", f"/models/{name}", name.encode(), **BYTES)
    by_hash = f"model:sha256:{sha(b'b.onnx')}"
    campaign = await made(api, matrix={"models": ["model:a.onnx", by_hash, URL], "compute_units": [CPU]})
    await api("PUT", "/models/a.onnx", b"newer", **BYTES)
    wanted = [("model:a.onnx", sha(b"a.onnx"), 1), (f"{by_hash}/b.onnx", sha(b"b.onnx"), 1), (URL, None, 1)]
    assert await models_of(api, campaign) == wanted
    for name in ("a.onnx", "b.onnx"):
        answer = await api("DELETE", f"/models/{name}")
        assert (answer.status, name == "b.onnx") in ((409, True), (200, False))
    worker = await api.worker()
    assert [await run(api, worker) for _ in range(3)] == [(url, digest) for url, digest, _ in wanted]
    assert (await api("DELETE", "/models/b.onnx")).status == 200


# Fetched by the orchestrator for all devices


async def test_each_model_is_fetched_once_for_all_who_need_it_for_a_job_and_pinned(api):
    async with serving_models() as source:
        contents = {name: name.encode() * 1000 for name in ("a.onnx", "b.onnx")}
        source.files |= contents
        urls = [source.url(name) for name in contents]
        campaign = await made(api, jobs=jobs_with(*urls, urls[1]))

        async def ask(place, of=campaign):
            return await api("POST", f"/campaigns/{campaign}/model?wait=20&job_id={of}-job-{place}")

        digests = [sha(content) for content in contents.values()]
        answers = [answer.document for answer in await asyncio.gather(*(ask(place) for place in range(3)))]
        assert [(answer["state"], answer["sha256"]) for answer in answers] == [
            ("kept", digest) for digest in (*digests, digests[1])
        ]
        assert sorted(request.path for request in source.requests) == ["/a.onnx", "/b.onnx"]
        assert await models_of(api, campaign) == [(urls[0], digests[0], 1), (urls[1], digests[1], 2)]
        unnamed = (await api("POST", f"/campaigns/{campaign}/model")).document
        assert (unnamed["state"], "job_id" in unnamed["reason"]) == ("elsewhere", True)
        other = await made(api, jobs=jobs_with(urls[1]))
        assert (await ask(0, other)).status == 404
        assert (await ask(9)).status == 404
    assert set(await api.parts.store.models.in_use()) == set(digests)
    await api("POST", f"/campaigns/{campaign}/cancel")
    assert set(await api.parts.store.models.in_use()) == set()


async def test_what_is_refused_of_one_model_is_refused_for_its_jobs_alone(api):
    async with serving_models() as source:
        source.files["a.onnx"] = b"a" * 1000
        campaign = await made(api, jobs=jobs_with(source.url("a.onnx"), "http://169.254.169.254/m.onnx"))
        states = []
        for place in range(2):
            answer = await api("POST", f"/campaigns/{campaign}/model?wait=20&job_id={campaign}-job-{place}")
            states.append((answer.document["state"], "169.254" in str(answer.document.get("reason"))))
    assert states == [("kept", False), ("elsewhere", True)]
