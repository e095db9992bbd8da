"""Which device gets which job: tags, every device or so many, a matrix; and what is said of it beforehand."""

from __future__ import annotations

import asyncio

import pytest

from daemons.store import campaigns
from tests.support.store import CPU, GPU, URL, dump


async def post(api, **campaign):
    headers = {"Idempotency_Key": campaign.pop("key")} if "key" in campaign else {}
    return await api("POST", "/campaigns", {"model_url": URL} | campaign, **headers)


async def made(api, **campaign):
    answer = await post(api, **campaign)
    assert answer.status == 201, answer.document
    return answer.document


def tagged(*tags, **more):
    return {"compute_unit": CPU, "tags": list(tags), **more}


async def claimed(api, worker):
    """The place of the job that the worker gets, and how many waited for it; None if it gets none."""
    job = await api.claim(worker)
    return job and int(job["job_id"].rpartition("-")[2])


async def done(api, worker, **figures):
    job = await api.claim(worker)
    assert (await api.report(worker, job, **figures)).status == 200
    return job


# Tags


async def test_a_job_with_tags_goes_to_a_device_that_has_them_all(api):
    plain, half, whole = [
        await api.worker(name, tags=tags) for name, tags in (("a", []), ("b", ["lab"]), ("c", ["quiet", "lab", "x"]))
    ]
    await made(api, jobs=[tagged("quiet", "lab"), tagged("lab"), tagged("loud")])
    assert await claimed(api, plain) is None
    assert await claimed(api, half) == 1
    assert await claimed(api, whole) == 0
    for worker in (plain, half):
        await api("PUT", f"/workers/{worker}/reset")
    assert await claimed(api, plain) is None


async def test_the_highest_priority_goes_first_among_all_queues_that_a_device_serves(api):
    worker = await api.worker("a", CPU, GPU, tags=["lab", "quiet"])
    jobs = [tagged(priority=1), tagged("lab", priority=3), tagged("quiet", priority=2), tagged("lab", priority=1)]
    await made(api, jobs=[*jobs, {"compute_unit": GPU, "priority": 2}])
    got = [(await done(api, worker))["job_id"].rpartition("-")[2] for _ in range(5)]
    assert got == ["1", "2", "4", "0", "3"]


async def test_a_device_that_registers_with_other_tags_is_another_choice(api):
    worker = await api.worker("a", tags=["lab"])
    await made(api, jobs=[tagged("quiet")])
    assert await claimed(api, worker) is None
    assert await api.worker("a", tags=["quiet"]) == worker
    assert await claimed(api, worker) == 0


async def test_a_job_with_tags_that_is_cancelled_or_tried_again_leaves_its_queue_and_comes_back(api, store):
    worker = await api.worker("a", tags=["lab"])
    campaign = (await made(api, jobs=[tagged("lab")] * 3))["campaign_id"]
    await api("POST", f"/jobs/{campaign}-job-0/cancel")
    await done_as(api, worker, "Failed")
    assert (await api("POST", f"/campaigns/{campaign}/retry")).document["retried"] == 1
    queues = (await api("GET", "/queue/status")).document
    (queue,) = queues["tagged_queues"]
    assert queue.pop("oldest_wait_s") >= 0
    assert queue == {"compute_unit": CPU, "tags": ["lab"], "queue_size": 2}
    assert queues["capability_queues"][CPU] == 2
    await api("POST", f"/campaigns/{campaign}/cancel")
    queues = (await api("GET", "/queue/status")).document
    assert (queues["tagged_queues"], queues["capability_queues"][CPU]) == ([], 0)
    assert not [key for key in await dump(store) if key.startswith("tag_sets")]


async def done_as(api, worker, status):
    await api.report(worker, await api.claim(worker), status)


async def test_devices_are_listed_with_their_tags_and_by_them(api):
    one = await api.worker("a", tags=["quiet", "lab", "quiet"])
    two = await api.worker("b", tags=["lab"])
    await api.worker("c")
    assert (await api("GET", f"/workers/{one}")).document["tags"] == ["lab", "quiet"]

    async def found(query):
        return [worker["worker_id"] for worker in (await api("GET", f"/workers?{query}")).document["workers"]]

    assert await found("tag=lab") == [one, two]
    assert await found("tag=lab&tag=quiet") == [one]
    assert await found("tag=loud") == []
    for tag in ("", "a+b", "a%20b", "a%0A", "-a", "a" * 61):
        assert (await api("GET", f"/workers?tag={tag}")).status == 400, tag


@pytest.mark.parametrize("tags", [["a b"], ["a+b"], ["a\n"], [""], ["a" * 61], ["a"] * 21, "lab"])
async def test_what_is_no_tag_is_refused_of_devices_and_of_jobs(api, tags):
    device = {"device_name": "a", "capabilities": [CPU], "tags": tags}
    assert (await api("POST", "/register", device)).document["field"].startswith("tags")
    answer = await post(api, jobs=[{"compute_unit": CPU, "tags": tags}])
    assert (answer.status, answer.document["field"].partition("tags")[0]) == (400, "jobs[0].")


# Every device, so many, and a matrix


async def test_every_device_and_so_many_get_a_job_each_and_the_answer_says_which(api):
    workers = [await api.worker(name) for name in "abc"]
    await api.claim(workers[0])
    answer = await made(api, jobs=[{"compute_unit": CPU, "devices": "every"}, {"compute_unit": CPU, "devices": 2}])
    assert [job["worker_id"] for job in answer["jobs"][:3]] == workers
    assert len({job["worker_id"] for job in answer["jobs"][3:]}) == 2
    assert (answer["total_jobs"], answer["jobs_total"], answer["runnable_now"]) == (5, 5, 5)
    for worker, place in zip(workers, range(3), strict=True):
        assert await claimed(api, worker) == place


async def test_those_that_have_a_job_are_the_last_of_so_many(api):
    one, two, three = [await api.worker(name) for name in "abc"]
    await made(api, jobs=[{"worker_id": one}])
    await api.claim(one)
    answer = await made(api, jobs=[{"compute_unit": CPU, "devices": 2}])
    assert [job["worker_id"] for job in answer["jobs"]] == [two, three]


async def test_devices_that_are_not_there_refuse_the_campaign_with_the_field(api, store):
    await api.worker("a")
    before = await dump(store)
    for jobs, field in (
        ([{"compute_unit": GPU, "devices": "every"}], "jobs[0].devices"),
        ([tagged(), tagged("lab", devices="every")], "jobs[1].devices"),
        ([tagged(devices=2)], "jobs[0].devices"),
        ([tagged(devices=0)], "jobs[0].devices"),
        ([tagged(devices="all")], "jobs[0].devices"),
    ):
        answer = await post(api, jobs=jobs)
        assert (answer.status, answer.is_problem, answer.document["field"]) == (400, True, field)
    assert await dump(store) == before


async def test_a_matrix_makes_every_combination_and_too_many_are_refused_with_their_number(api, store):
    for name in "ab":
        await api.worker(name, CPU, GPU)
    matrix = {"compute_units": [CPU, GPU], "devices": "every", "options": [{"threads": 1}, {"threads": 2}]}
    answer = await made(api, matrix=matrix)
    assert answer["total_jobs"] == 8
    options = [
        job["options"] for job in (await api("GET", f"/jobs?campaign_id={answer['campaign_id']}")).document["jobs"]
    ]
    assert len({(one["compute_unit"], one["worker_id"], one["threads"]) for one in options}) == 8
    before = await dump(store)
    matrix |= {"models": [f"http://a/{number}" for number in range(101)], "options": [{}] * 248}
    answer = await post(api, matrix=matrix, jobs=[{"compute_unit": CPU}])
    assert (answer.status, answer.document["field"]) == (400, "matrix")
    assert "100,193 jobs" in answer.document["error"]
    assert await dump(store) == before


async def test_one_job_more_than_is_taken_is_refused_with_the_number(api):
    models = [f"http://a/{number}" for number in range(100)]
    matrix = {"compute_units": [CPU], "models": models, "options": [{}] * 1000}
    answer = await post(api, jobs=[{"compute_unit": CPU}], matrix=matrix)
    assert (answer.status, "100,001 jobs" in answer.document["error"]) == (400, True)


# The same key again


async def test_the_same_key_names_the_same_jobs_also_when_the_fleet_is_another_one(api):
    workers = [await api.worker(name) for name in "ab"]
    campaign = {"jobs": [{"compute_unit": CPU, "devices": "every"}], "key": "k", "name": "nightly"}
    first = await made(api, **campaign)
    await api.worker("c")
    again = await made(api, **campaign)
    assert again == first
    await done(api, workers[0])
    for name in "abc":
        await api("POST", f"/workers/{await api.worker(name)}/goodbye")
    later = await made(api, **campaign)
    assert (later["campaign_id"], len(later["jobs"])) == (first["campaign_id"], 2)
    assert [job["status"] for job in later["jobs"]] == ["complete", "pending"]
    assert (later["runnable_now"], [one["worker_id"] for one in later["waiting"]]) == (0, [workers[1]])
    assert (await api("GET", "/campaigns")).document["count"] == 1
    other = await post(api, **campaign | {"name": "weekly"})
    assert (other.status, other.document["code"]) == (409, "conflict")


async def test_many_at_once_with_the_same_key_make_one_campaign_and_get_the_same_jobs(api):
    for name in "ab":
        await api.worker(name)
    campaign = {"jobs": [{"compute_unit": CPU, "devices": "every"}], "key": "k"}
    answers = await asyncio.gather(*(made(api, **campaign) for _ in range(8)))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("count", [1, 3, 4])
async def test_a_campaign_sent_again_is_answered_whole_however_many_jobs_are_read_at_a_time(api, monkeypatch, count):
    monkeypatch.setattr(campaigns, "PORTION", 2)
    campaign = {"jobs": [tagged(threads=1 + number) for number in range(count)], "key": "k"}
    assert await made(api, **campaign) == await made(api, **campaign)


async def test_whoever_looked_too_early_for_the_same_key_gets_what_was_made_meanwhile(api, monkeypatch):
    await api.worker("a")
    campaign = {"jobs": [{"compute_unit": CPU, "devices": "every"}], "key": "k"}
    first = await made(api, **campaign)
    await api.worker("b")

    async def too_early(*_):
        return None

    monkeypatch.setattr(api.parts.store.campaigns, "made_with", too_early)
    assert await made(api, **campaign) == first


# What is expected


async def test_the_answer_tells_what_waits_for_whom_and_why(api):
    one = await api.worker("a")
    await api("POST", f"/workers/{one}/drain")
    await api.worker("b", tags=["lab"])
    jobs = [tagged(), tagged("lab"), tagged("loud"), tagged("loud"), {"compute_unit": GPU}, {"worker_id": one}]
    answer = await made(api, jobs=jobs)
    assert (answer["jobs_total"], answer["runnable_now"]) == (6, 2)
    assert [{key: value for key, value in waiting.items() if key != "why"} for waiting in answer["waiting"]] == [
        {"compute_unit": CPU, "tags": ["loud"], "jobs": 2},
        {"compute_unit": GPU, "jobs": 1},
        {"compute_unit": CPU, "worker_id": one, "jobs": 1},
    ]
    assert [waiting["why"] for waiting in answer["waiting"]] == [
        f"no live device offers {CPU} and has the tags loud; jobs for it wait until one does",
        f"no live device offers {GPU}; jobs for it wait until one does",
        f"worker {one} is away; its jobs wait for it",
    ]


async def test_an_estimate_comes_from_what_attempts_have_taken_of_this_model_on_this_unit(api, store):
    worker = await api.worker("a", CPU, GPU)
    first = await made(api, jobs=[tagged()])
    assert first["estimate_s"] is None
    assert first["estimate_notes"] == [f"nothing is known yet of how long m.onnx takes on {CPU}"]
    await done_after(api, store, worker, 10.0)
    second = await made(api, jobs=[tagged(), tagged()])
    assert (round(second["estimate_s"]), second["estimate_notes"]) == (20, [])
    await done_after(api, store, worker, 20.0)
    campaign = (await api("GET", f"/campaigns/{second['campaign_id']}")).document
    assert round(campaign["estimate_left_s"]) == 10
    assert round((await made(api, jobs=[tagged()]))["estimate_s"]) == 13, "0.7 of what it was, and 0.3 of the new one"
    assert (await made(api, jobs=[{"compute_unit": GPU}]))["estimate_s"] is None
    other = await made(api, model_url="http://a/other", jobs=[tagged()])
    assert other["estimate_s"] is None
    partly = await made(api, jobs=[tagged(), tagged("loud")])
    assert (round(partly["estimate_s"]), partly["estimate_notes"]) == (
        13,
        ["jobs that wait for a device are not counted: 1"],
    )
    shown = (await api("GET", f"/campaigns/{partly['campaign_id']}")).document
    assert shown["estimate_left_s"] is None, "nobody knows how long jobs take that wait for a device"


async def test_what_was_not_used_for_longest_is_forgotten_of_durations(api, store):
    redis, prefix = store.server._redis, store.server._prefix
    names = [f"unit|{number}" for number in range(4000)]
    await redis.hset(f"{prefix}durations", mapping=dict.fromkeys(names, 1))
    await redis.zadd(f"{prefix}durations_used", {name: place for place, name in enumerate(names)})
    worker = await api.worker("a")
    await made(api, jobs=[tagged()])
    await done(api, worker)
    left = await redis.hkeys(f"{prefix}durations")
    assert len(left) == await redis.zcard(f"{prefix}durations_used") == 4000
    assert set(names) - set(left) == {names[0]}


async def done_after(api, store, worker, seconds):
    """As if the attempt had begun so long ago."""
    job = await api.claim(worker)
    redis, key = store.server._redis, f"{store.server._prefix}job:{job['job_id']}"
    began = int(await redis.hget(key, "started_at")) - int(seconds * 1000)
    await redis.hset(key, "started_at", began)
    await api.report(worker, job)


# Names and labels


async def test_campaigns_have_names_and_labels_and_are_found_by_them(api):
    one = await made(api, jobs=[tagged()], name="nightly", labels={"branch": "main", "pr/no": "7"})
    two = await made(api, jobs=[tagged()], name="nightly", labels={"branch": "next"})
    three = await made(api, jobs=[tagged()])
    shown = (await api("GET", f"/campaigns/{one['campaign_id']}")).document
    assert (shown["name"], shown["labels"]) == ("nightly", {"branch": "main", "pr/no": "7"})
    shown = (await api("GET", f"/campaigns/{three['campaign_id']}")).document
    assert (one["name"], shown["name"], shown["labels"], "name" in three) == ("nightly", None, {}, False)

    async def found(query):
        listed = (await api("GET", f"/campaigns?{query}")).document["campaigns"]
        return [campaign["campaign_id"] for campaign in listed]

    first, second = one["campaign_id"], two["campaign_id"]
    assert await found("name=nightly") == [second, first]
    assert await found("label=branch=main") == [first]
    assert await found("label=branch=main&label=pr/no=7&name=nightly&status=running") == [first]
    assert await found("label=branch=main&label=pr/no=8") == []
    assert await found("name=night") == []
    for query in ("label=branch", "label==x", "label=a%0A=x", "name="):
        assert (await api("GET", f"/campaigns?{query}")).status == 400, query


@pytest.mark.parametrize(
    ("campaign", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\x1b[31m"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "a" * 201}, "name"),
        ({"labels": {"a": 5}}, "labels.a"),
        ({"labels": {"a": "x\ny"}}, "labels.a"),
        ({"labels": {"a b": "x"}}, "labels"),
        ({"labels": {f"a{number}": "" for number in range(51)}}, "labels"),
    ],
)
async def test_what_is_no_name_or_label_is_refused(api, campaign, field):
    answer = await post(api, jobs=[tagged()], **campaign)
    assert (answer.status, answer.document["field"].startswith(field)) == (400, True), answer.document
