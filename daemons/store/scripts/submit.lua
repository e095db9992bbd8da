-- Accepts a campaign with all of its jobs, or says why not.
-- arg: model_url, credentials, specs = [JSON text], jobs = [index into specs, from 0], idempotency_key, digest, remember_s
-- -> {campaign_id, created_at, replayed, unserved = [{spec, problem}]}

local idempotency = given(arg.idempotency_key) and P .. 'idempotency:' .. arg.idempotency_key

local function replay()
  local known = idempotency and read(idempotency)
  if not known then
    return nil
  end
  if known.digest ~= arg.digest then
    return refuse('conflict', 'this Idempotency-Key was used for another campaign, ' .. known.campaign_id .. '; use a new key')
  end
  local created_at = redis.call('HGET', campaign_key(known.campaign_id), 'created_at')
  if not created_at then
    return refuse('conflict', 'the campaign of this Idempotency-Key, ' .. known.campaign_id .. ', is gone; use a new key')
  end
  return reply({ campaign_id = known.campaign_id, created_at = created_at, replayed = true })
end

-- Microseconds, and always above the last one: unique, in order, and not used again after a reset.
local function new_campaign_id()
  local last = tonumber(redis.call('GET', P .. 'last_campaign') or '0')
  local number = integer_text(math.max(now_us(), last + 1))
  redis.call('SET', P .. 'last_campaign', number)
  return 'campaign-' .. number
end

-- Which specs nobody could take now: a device that is there later takes them then.
local function find_unserved(specs)
  local live_units, live_workers = {}, {}
  for _, worker_id in ipairs(redis.call('SMEMBERS', P .. 'workers')) do
    local worker = redis.call('HMGET', worker_key(worker_id), 'status', 'capabilities', 'drained')
    if worker[1] and worker[1] ~= 'faulty' and worker[1] ~= 'offline' and not worker[3] then
      live_workers[worker_id] = {}
      for _, unit in ipairs(cjson.decode(worker[2])) do
        live_units[unit] = true
        live_workers[worker_id][unit] = true
      end
    end
  end
  local unserved = {}
  for index, spec in ipairs(specs) do
    local problem
    if given(spec.worker_id) then
      local units = live_workers[spec.worker_id]
      problem = not units and 'worker_away' or not units[spec.compute_unit] and 'worker_lacks_unit'
    else
      problem = not live_units[spec.compute_unit] and 'no_device'
    end
    if problem then
      unserved[#unserved + 1] = { spec = index - 1, problem = problem }
    end
  end
  return unserved
end

local specs = {}
for index, text in ipairs(arg.specs) do
  specs[index] = cjson.decode(text)
  local worker_id = specs[index].worker_id
  if given(worker_id) and redis.call('SISMEMBER', P .. 'workers', worker_id) == 0 then
    return refuse('invalid_input', 'worker_id: there is no worker ' .. worker_id .. '; GET /api/workers lists them')
  end
end

local known = replay()
if known then
  return known
end

local campaign_id, created_at = new_campaign_id(), now_ms()
local counts = {}
for position, spec_index in ipairs(arg.jobs) do
  local spec = specs[spec_index + 1]
  local job_id = campaign_id .. '-job-' .. (position - 1)
  local queue = queue_of(spec)
  redis.call('HSET', job_key(job_id), 'status', 'pending', 'spec', spec_index)
  redis.call('ZADD', queue_key(queue), score_of(spec), job_id)
  counts[queue] = (counts[queue] or 0) + 1
end
for index, text in ipairs(arg.specs) do
  redis.call('HSET', campaign_key(campaign_id) .. ':specs', index - 1, text)
end
redis.call('HSET', campaign_key(campaign_id), 'campaign_id', campaign_id, 'model_url', arg.model_url,
  'status', 'running', 'created_at', created_at, 'total', #arg.jobs, 'pending', #arg.jobs,
  'running', 0, 'complete', 0, 'failed', 0, 'cancelled', 0)
if given(arg.credentials) then
  redis.call('HSET', campaign_key(campaign_id), 'credentials', arg.credentials)
end
redis.call('ZADD', P .. 'campaigns', string.sub(campaign_id, 10), campaign_id)
if idempotency then
  redis.call('HSET', idempotency, 'campaign_id', campaign_id, 'digest', arg.digest)
  redis.call('EXPIRE', idempotency, arg.remember_s)
end
campaign_changed(campaign_id)
wake(counts)
return reply({ campaign_id = campaign_id, created_at = created_at, replayed = false, unserved = find_unserved(specs) })
