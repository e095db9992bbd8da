"""Lists of campaigns, jobs and devices: whole without parameters, filtered, and page by page."""

from __future__ import annotations

import pytest

from tests.support.store import CPU, GPU


async def pages(api, path, name, limit):
    """What all pages of a list hold, followed by their cursors."""
    found, cursor = [], ""
    while True:
        answer = (await api("GET", f"{path}{'&' if '?' in path else '?'}limit={limit}{cursor}")).document
        assert answer["count"] == len(answer[name]) <= limit
        found += answer[name]
        if "next_cursor" not in answer:
            return found
        cursor = f"&cursor={answer['next_cursor']}"


@pytest.fixture
async def fleet(api):
    """Two devices, one at work; three campaigns of three jobs each, of which one is cancelled."""
    one, two = await api.worker("one"), await api.worker("two", GPU, CPU)
    made = [
        (await api.submit({"compute_unit": CPU}, {"compute_unit": GPU}, {"worker_id": two}))["campaign_id"]
        for _ in range(3)
    ]
    job = await api.claim(one)
    await api("POST", f"/campaigns/{made[2]}/cancel")
    return one, two, made, job["job_id"]


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize(("path", "name"), [("/campaigns", "campaigns"), ("/jobs", "jobs"), ("/workers", "workers")])
async def test_a_list_is_whole_without_parameters_and_page_by_page(api, fleet, path, name, limit):
    whole = (await api("GET", path)).document
    assert "next_cursor" not in whole
    assert await pages(api, path, name, limit) == whole[name]
    assert whole["count"] == {"campaigns": 3, "jobs": 9, "workers": 2}[name]


async def test_campaigns_by_status(api, fleet):
    _, _, made, _ = fleet

    async def found(status):
        answer = await api("GET", f"/campaigns?status={status}")
        return [campaign["campaign_id"] for campaign in answer.document["campaigns"]]

    assert await found("running") == [made[1], made[0]]
    assert await found("cancelled") == [made[2]]
    assert await found("failed") == []


async def test_jobs_by_campaign_status_device_and_unit(api, fleet):
    one, two, made, running = fleet

    async def found(query):
        answer = await api("GET", f"/jobs?{query}")
        return [job["job_id"].partition("-")[2] for job in answer.document["jobs"]]

    numbers = [campaign.partition("-")[2] for campaign in made]
    assert await found(f"campaign_id={made[1]}") == [f"{numbers[1]}-job-{place}" for place in range(3)]
    assert await found("status=running") == [running.partition("-")[2]]
    assert await found(f"worker_id={one}") == [running.partition("-")[2]]
    pinned = [f"{number}-job-2" for number in numbers[::-1]]
    assert await found(f"worker_id={two}") == pinned
    assert await found(f"worker_id={two}&status=cancelled") == pinned[:1]
    gpu = [f"{number}-job-{place}" for number in numbers[::-1] for place in (1, 2)]
    assert await found("compute_unit=GPU%20(ONNX)") == gpu
    assert await found(f"compute_unit=GPU+(ONNX)&campaign_id={made[0]}") == gpu[-2:]


async def test_a_job_in_a_list_is_the_one_that_is_shown(api, fleet):
    *_, running = fleet
    (listed,) = (await api("GET", "/jobs?status=running")).document["jobs"]
    shown = (await api("GET", f"/jobs/{running}")).document["job"]
    assert listed | {"history": shown["history"]} == shown


async def test_jobs_of_a_campaign_that_is_not_there_are_404(api):
    answer = await api("GET", "/jobs?campaign_id=campaign-1")
    assert (answer.status, answer.is_problem) == (404, True)


async def test_devices_by_status_and_unit(api, fleet):
    one, two, *_ = fleet

    async def found(query):
        answer = await api("GET", f"/workers?{query}")
        return [worker["worker_id"] for worker in answer.document["workers"]]

    assert await found("status=busy") == [one]
    assert await found("status=active&compute_unit=GPU%20(ONNX)") == [two]
    assert await found("status=offline") == []
    assert await found("limit=10000") == [one, two]


@pytest.mark.parametrize(
    ("path", "field", "allowed"),
    [
        ("/campaigns?status=done", "status", "cancelled, completed, failed, running"),
        ("/jobs?status=done", "status", "cancelled, complete, failed, pending, running"),
        ("/jobs?campaign_id=..%2F", "campaign_id", "a campaign's identifier"),
        ("/jobs?worker_id=x", "worker_id", "a device's identifier"),
        ("/jobs?cursor=5", "cursor", "next_cursor"),
        ("/jobs?limit=1001", "limit", "1 to 1,000"),
        ("/workers?limit=10001", "limit", "1 to 10,000"),
        ("/workers?cursor=worker-1", "cursor", "next_cursor"),
        ("/workers?status=tired", "status", "offline"),
        ("/workers?state=active", "state", "did you mean status? known are limit, cursor, status, compute_unit"),
        ("/jobs?campaign=x", "campaign", "did you mean campaign_id?"),
    ],
)
async def test_a_wrong_filter_is_refused_with_what_there_is(api, path, field, allowed):
    answer = await api("GET", path)
    assert (answer.status, answer.is_problem, answer.document["field"]) == (400, True, field)
    assert all(word in answer.document["error"] for word in allowed.split(", "))
