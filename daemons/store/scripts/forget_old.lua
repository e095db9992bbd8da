-- Forgets campaigns that ended longer ago than they are kept, and whose file is on disk, if they have one; then removes
-- the jobs of all that were forgotten, in portions, so that no step is long.
-- arg: keep_ms, or null for for ever, limit = jobs at most -> {campaigns, jobs, more = whether there is more to do now}

local MOST_CAMPAIGNS = 100
local campaigns, jobs = 0, 0

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

local due = {}
if given(arg.keep_ms) then
  local cutoff = integer_text(tonumber(now_ms()) - arg.keep_ms)
  due = redis.call('ZRANGE', P .. 'ended', '-inf', cutoff, 'BYSCORE', 'LIMIT', 0, MOST_CAMPAIGNS)
end
for _, campaign_id in ipairs(due) do
  local campaign = read(campaign_key(campaign_id))
  if campaign.filed or campaign.kind == HEALTH then
    forget_campaign(campaign_id, campaign)
    campaigns = campaigns + 1
  end
end

local leaving = redis.call('HGETALL', P .. 'leaving')
for index = 1, #leaving, 2 do
  if jobs < arg.limit then
    local rest = cjson.decode(leaving[index + 1])
    sweep(leaving[index], rest.total, rest.from)
  end
end
local more = redis.call('HLEN', P .. 'leaving') > 0 or campaigns == MOST_CAMPAIGNS
return reply({ campaigns = campaigns, jobs = jobs, more = more })
