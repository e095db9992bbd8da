-- Cancels what of a campaign has not ended: waiting jobs at once, running ones as soon as their workers hear of it.
-- Its waiting jobs may be many, so they are settled together here and announced by the campaign's event alone.
-- arg: campaign_id -> {status, cancelled, stopping}

local key = campaign_key(arg.campaign_id)
local campaign = read(key)
if not campaign then
  return refuse('not_found', 'there is no campaign ' .. arg.campaign_id)
end
if campaign.status ~= 'running' then
  return reply({ status = campaign.status, cancelled = 0, stopping = 0 })
end

local queues = {}
for index, text in pairs(read(key .. ':specs')) do
  queues[index] = queue_of(cjson.decode(text), campaign.kind)
end

local ended_at = now_ms()
local result = cjson.encode({ Remark = 'cancelled before it ran' })
local cancelled, stopping = 0, 0

local function cancel_waiting(job_id, spec, was_tried)
  take_out(queues[spec], job_id)
  if was_tried then
    redis.call('ZREM', P .. 'delayed', job_id)
  end
  redis.call('HSET', job_key(job_id), 'status', 'cancelled', 'ended_at', ended_at, 'result', result)
  if campaign.kind ~= HEALTH then
    redis.call('XADD', P .. 'results', '*', 'job_id', job_id)
  end
  cancelled = cancelled + 1
end

for position = 0, tonumber(campaign.total) - 1 do
  local job_id = arg.campaign_id .. '-job-' .. position
  local job = redis.call('HMGET', job_key(job_id), 'status', 'spec', 'attempt', 'cancel')
  if job[1] == 'pending' then
    cancel_waiting(job_id, job[2], job[3])
  elseif job[1] == 'running' then
    stopping = stopping + 1
    if not job[4] then
      redis.call('HSET', job_key(job_id), 'cancel', 1)
      job_changed(job_id)
    end
  end
end
if campaign.cancel_requested and cancelled == 0 then
  return reply({ status = campaign.status, cancelled = 0, stopping = stopping })
end
redis.call('HSET', key, 'cancel_requested', 1)
redis.call('HINCRBY', key, 'pending', -cancelled)
redis.call('HINCRBY', key, 'cancelled', cancelled)
count('jobs_cancelled', cancelled)
end_campaign_if_done(arg.campaign_id)
campaign_changed(arg.campaign_id)
return reply({ status = redis.call('HGET', key, 'status'), cancelled = cancelled, stopping = stopping })
