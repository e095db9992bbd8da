-- Records how an attempt ended, once.
-- arg: job_id, worker_id, attempt, status, result = JSON text, evidence = JSON text or null, model_sha256 or null
-- -> {status, duplicate}

local job = read(job_key(arg.job_id))
if not job then
  return refuse('not_found', 'there is no job ' .. arg.job_id)
end

local attempt = integer_text(arg.attempt)
if job.attempt ~= attempt or job.worker_id ~= arg.worker_id then
  local newest = job.attempt and ('attempt ' .. job.attempt .. ' on ' .. job.worker_id) or 'none yet'
  return refuse('stale_attempt', 'attempt ' .. attempt .. ' of ' .. arg.job_id .. ' on ' .. arg.worker_id ..
    ' is not the newest (' .. newest .. '); its result was not taken')
end
if job.reported == attempt then
  return reply({ status = job.status, duplicate = true })
end
if is_final(job.status) then
  return refuse('stale_attempt', arg.job_id .. ' has ended as ' .. job.status .. '; its result was not taken')
end

local campaign_id = campaign_of(arg.job_id)
redis.call('HSET', job_key(arg.job_id), 'reported', attempt)
if given(arg.evidence) then
  redis.call('SET', job_key(arg.job_id) .. ':evidence', arg.evidence)
end
-- The first device that has fetched the model pins its bytes for the whole campaign.
if given(arg.model_sha256) then
  redis.call('HSETNX', campaign_key(campaign_id), 'model_sha256', arg.model_sha256)
end
remember(arg.job_id, arg.status, job, given(arg.remark) and arg.remark or nil)
-- Counted before the events go out: they carry the whole new state.
local is_known = redis.call('EXISTS', worker_key(arg.worker_id)) == 1
if is_known then
  redis.call('HINCRBY', worker_key(arg.worker_id), 'jobs_' .. arg.status, 1)
end
settle(arg.job_id, job, arg.status, arg.result)
campaign_changed(campaign_id)
if is_known then
  beat(arg.worker_id, read(worker_key(arg.worker_id)))
  if job.status == 'pending' then
    worker_changed(arg.worker_id)
  end
end
return reply({ status = arg.status, duplicate = false })
