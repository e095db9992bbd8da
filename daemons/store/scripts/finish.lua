-- Records how an attempt ended, once.
-- arg: job_id, worker_id, attempt, status, result = JSON text, evidence = JSON text or null, model_sha256 or null,
--      remark or null, is_device_failure = the device could not do its part, retry = the policy for that,
--      judgement = {passed, reason, median_ms, usual_ms, figure, is_in_doubt} on a health job, null for all others
-- -> {status, duplicate}: the job's status then, `pending` if it is tried again

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

-- How long an attempt takes: a mean for each unit with each model, in which a new one counts for so much. A model is known
-- by the hash of its URL and by that of its bytes, whichever a later campaign can tell. The longest unused are forgotten.
local NEW_COUNTS, MOST_DURATIONS = 0.3, 4000

local function note_mean(field, took_ms)
  local mean = tonumber(redis.call('HGET', P .. 'durations', field) or took_ms)
  redis.call('HSET', P .. 'durations', field, integer_text(mean + NEW_COUNTS * (took_ms - mean)))
  if redis.call('ZADD', P .. 'durations_used', now_ms(), field) == 1
    and redis.call('ZCARD', P .. 'durations_used') > MOST_DURATIONS then
    redis.call('HDEL', P .. 'durations', redis.call('ZPOPMIN', P .. 'durations_used')[1])
  end
end

local function note_duration(job_id, job, url)
  local took_ms = tonumber(now_ms()) - tonumber(job.started_at)
  if took_ms < 0 then
    return -- the server's clock was set back
  end
  local unit = spec_of(job_id, job).compute_unit
  note_mean(unit .. '|' .. redis.sha1hex(url), took_ms)
  if given(arg.model_sha256) then
    note_mean(unit .. '|' .. arg.model_sha256, took_ms)
  end
end

local campaign_id = campaign_of(arg.job_id)
redis.call('HSET', job_key(arg.job_id), 'reported', attempt)
local worker = read(worker_key(arg.worker_id))
if worker then
  beat(arg.worker_id, worker)
end
local is_health = job.kind == HEALTH
if arg.is_device_failure then
  count('device_failures')
end
if is_health and given(arg.judgement) then
  if arg.judgement.is_in_doubt and not job.doubted and not job.cancel then
    doubt(arg.job_id, job, arg.judgement.reason, arg.retry)
    return reply({ status = 'pending', duplicate = false })
  end
  note_judgement(arg.job_id, job, arg.judgement)
elseif arg.is_device_failure then
  set_aside_after(arg.worker_id, arg.remark, arg.retry.max_in_a_row)
  redis.call('HDEL', job_key(arg.job_id), 'adoptable') -- the attempt has ended: a beat of it that comes late resumes nothing
  if job.status == 'pending' or device_failed(arg.job_id, job, arg.remark, arg.retry) then
    return reply({ status = 'pending', duplicate = false })
  end
elseif worker and not is_health then
  redis.call('HDEL', worker_key(arg.worker_id), 'failures_in_a_row', 'troubles')
end
if given(arg.evidence) then
  redis.call('SET', job_key(arg.job_id) .. ':evidence', arg.evidence)
end
local campaign = read(campaign_key(campaign_id))
local url = model_of(arg.job_id, job, campaign)
-- The first device that has fetched a model pins its bytes for the whole campaign.
if given(arg.model_sha256) then
  pin(campaign, url, arg.model_sha256)
end
if arg.status == 'complete' and job.status == 'running' and not is_health then
  note_duration(arg.job_id, job, url or campaign.model_url)
end
remember(arg.job_id, arg.status, job, given(arg.remark) and arg.remark or nil)
-- Counted before the events go out: they carry the whole new state.
if worker and not is_health then
  redis.call('HINCRBY', worker_key(arg.worker_id), 'jobs_' .. arg.status, 1)
end
settle(arg.job_id, job, arg.status, arg.result)
campaign_changed(campaign_id)
if worker and job.status == 'pending' then
  worker_changed(arg.worker_id)
end
return reply({ status = arg.status, duplicate = false })
