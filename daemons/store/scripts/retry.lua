-- Opens what has failed again: a whole campaign's failed jobs, or one job. Their losses count from nothing; the number of
-- their attempts goes on, so that a report of an old one stays an old one.
-- arg: campaign_id, job_id or null -> {status, retried}

local key = campaign_key(arg.campaign_id)
local campaign = read(key)
if not campaign then
  return refuse('not_found', 'there is no campaign ' .. arg.campaign_id)
end

if campaign.kind == HEALTH then
  return refuse('conflict', arg.campaign_id .. ' is a checkup, which is not opened again: POST /api/workers/' ..
    campaign.worker_id .. '/check starts a new one')
end

local counts = {}
local function open_again(job_id)
  local job = read(job_key(job_id))
  if not job or job.status ~= 'failed' then
    return 0
  end
  local spec = spec_of(job_id, job)
  if given(spec.worker_id) and redis.call('SISMEMBER', P .. 'workers', spec.worker_id) == 0 then
    return 0 -- its device was removed: nobody could ever take it
  end
  redis.call('HSET', job_key(job_id), 'status', 'pending', 'score', score_of(spec))
  redis.call('HDEL', job_key(job_id), 'result', 'ended_at', 'losses', 'lost', 'device_failures', 'adoptable', 'avoid',
    'avoid_until')
  redis.call('DEL', job_key(job_id) .. ':evidence')
  count_move(job_id, 'failed', 'pending')
  remember(job_id, 'retried', job, 'by hand')
  local queue = enqueue(job_id, read(job_key(job_id)))
  counts[queue] = (counts[queue] or 0) + 1
  if given(arg.job_id) then
    job_changed(job_id)
  end
  return 1
end

local retried = 0
if given(arg.job_id) then
  if redis.call('EXISTS', job_key(arg.job_id)) == 0 then
    return refuse('not_found', 'there is no job ' .. arg.job_id)
  end
  retried = open_again(arg.job_id)
else
  for position = 0, tonumber(campaign.total) - 1 do
    retried = retried + open_again(arg.campaign_id .. '-job-' .. position)
  end
end
if retried > 0 then
  count('retries_by_hand', retried)
  redis.call('HSET', key, 'status', 'running')
  redis.call('HDEL', key, 'ended_at', 'cancel_requested', 'filed')
  redis.call('ZREM', P .. 'ended', arg.campaign_id)
  webhook_waits(arg.campaign_id, campaign)
  campaign_changed(arg.campaign_id)
  wake(counts)
end
return reply({ status = redis.call('HGET', key, 'status'), retried = retried })
