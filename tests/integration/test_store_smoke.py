import time, msgspec
from daemons.core.models import *
from daemons.core.results import *
from daemons.core.retries import RetryPolicy
async def test_all(store):
    spec = JobSpec(compute_unit="CPU (ONNX)")
    wid, action = await store.fleet.register(RegisterRequest(device_name="d", capabilities=["CPU (ONNX)"], device_info=DeviceInfo(soc="x", ram="16", device_os="Linux", udid="u1"), instance_id="i1"), RetryPolicy())
    s = await store.campaigns.submit(CampaignRequest(model_url="http://x/m.onnx", jobs=[spec]*3), "k")
    print(s); print(await store.campaigns.submit(CampaignRequest(model_url="http://x/m.onnx", jobs=[spec]*3), "k"))
    c = await store.queue.claim(wid, ClaimRequest(instance_id="i1", claim_id="c1")); print(c)
    c2 = await store.queue.claim(wid, ClaimRequest(instance_id="i1", claim_id="c1")); assert c == c2
    print(await store.fleet.heartbeat(wid, HeartbeatRequest(instance_id="i1", job_id=c.job.job_id, attempt=1, progress=Progress(phase="x"))))
    print(await store.queue.running(), await store.queue.status())
    rep = JobReport(worker_id=wid, attempt=1, status=ReportStatus.COMPLETE, load_ms_median=2.0, samples=Samples(load_ms=[1.0]))
    print(await store.queue.finish(c.job.job_id, rep)); print(await store.queue.finish(c.job.job_id, rep))
    print(await store.campaigns.job(c.job.job_id))
    print(await store.fleet.everyone(), await store.fleet.health_of_all())
    print(await store.campaigns.cancel(s.campaign_id)); print(await store.campaigns.newest(limit=10))
    print([r async for r in store.campaigns.rows(s.campaign_id)])
    print(await store.outbox.waiting())
    print(await store.server.facts())
    r = store.campaigns._redis
    for n, jobs in ((10000, [spec]*10000), (100000, [spec]*100000)):
        b = (await r.info("memory"))["used_memory"]
        t = time.perf_counter(); s = await store.campaigns.submit(CampaignRequest(model_url="http://x/m.onnx", jobs=jobs)); dt=time.perf_counter()-t
        a = (await r.info("memory"))["used_memory"]
        print(n, dt, (a-b)/n)
    t = time.perf_counter(); print(await store.campaigns.cancel(s.campaign_id)); print(time.perf_counter()-t)
    t = time.perf_counter(); print(await store.server.reset()); print(time.perf_counter()-t)
