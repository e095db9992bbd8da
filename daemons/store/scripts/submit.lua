-- Accepts a campaign with all of its jobs, or says why not.
-- arg: model_url, credentials, specs = [JSON text], jobs = [index into specs, from 0], idempotency_key, digest, remember_s,
--      model_sha256, needs = the hashes of kept models that must stay until its end, with spaces between them
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

local campaign_id = new_campaign_id()
local state = { model_url = arg.model_url }
for _, field in ipairs({ 'credentials', 'model_sha256', 'needs' }) do
  state[field] = given(arg[field]) and arg[field] or nil
end
if idempotency then
  redis.call('HSET', idempotency, 'campaign_id', campaign_id, 'digest', arg.digest)
  redis.call('EXPIRE', idempotency, arg.remember_s)
end
local created_at = open_campaign(campaign_id, state, arg.specs, arg.jobs)
return reply({ campaign_id = campaign_id, created_at = created_at, replayed = false, unserved = find_unserved(specs) })
