-- Forgets campaigns that ended longer ago than they are kept, and whose file is on disk, if they have one: at once for whoever asks for
-- them, their jobs in portions, so that no step is long.
-- arg: keep_ms, limit = jobs at most -> {campaigns, jobs, more = whether there is more to do now}

local cutoff = integer_text(tonumber(now_ms()) - arg.keep_ms)
local jobs, campaigns = 0, 0

local function sweep(campaign_id, total, from)
  local position = from
  while position < total and jobs < arg.limit do
    local key = job_key(campaign_id .. '-job-' .. position)
    redis.call('UNLINK', key, key .. ':history', key .. ':evidence')
    position, jobs = position + 1, jobs + 1
  end
  if position < total then
    redis.call('HSET', P .. 'leaving', campaign_id, cjson.encode({ total = total, from = position }))
  else
    redis.call('HDEL', P .. 'leaving', campaign_id)
  end
end

local function forget(campaign_id, campaign)
  redis.call('UNLINK', campaign_key(campaign_id), campaign_key(campaign_id) .. ':specs')
  redis.call('ZREM', P .. 'campaigns', campaign_id)
  redis.call('ZREM', P .. 'checkup_campaigns', campaign_id)
  redis.call('ZREM', P .. 'ended', campaign_id)
  campaigns = campaigns + 1
  count('campaigns_forgotten')
  publish('campaign_removed', next_version(), { campaign_id = campaign_id })
  sweep(campaign_id, tonumber(campaign.total), 0)
end

local leaving = redis.call('HGETALL', P .. 'leaving')
for index = 1, #leaving, 2 do
  if jobs < arg.limit then
    local rest = cjson.decode(leaving[index + 1])
    sweep(leaving[index], rest.total, rest.from)
  end
end
for _, campaign_id in ipairs(redis.call('ZRANGE', P .. 'ended', '-inf', cutoff, 'BYSCORE', 'LIMIT', 0, 100)) do
  local campaign = read(campaign_key(campaign_id))
  if jobs < arg.limit and (campaign.filed or campaign.kind == HEALTH) then
    forget(campaign_id, campaign)
  end
end
return reply({ campaigns = campaigns, jobs = jobs, more = jobs >= arg.limit })
