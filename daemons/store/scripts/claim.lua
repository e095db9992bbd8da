-- Gives a worker the next job that it can run.
-- arg: worker_id, instance_id, claim_id
-- -> {job = {...}, queue = the name of the one that it was taken from, nil if this worker had it already}, or
--    {idle = 'empty' | 'left' | 'not_ready', queues = [names], tags = [names]}: nothing waits in the queues that this
--    worker serves; what waits is for other devices first; or it may take no user's job now. The queues are those to
--    listen to, and so is each queue of a unit with tags that are among its own

local worker = read(worker_key(arg.worker_id))
if not worker then
  return refuse_unknown_worker(arg.worker_id)
end
if is_replaced(worker) then
  return refuse_replaced(arg.worker_id)
end

local health_queue = 'health:' .. arg.worker_id
local queues = { 'worker:' .. arg.worker_id }
local units = cjson.decode(worker.capabilities)
for _, unit in ipairs(units) do
  queues[#queues + 1] = 'unit:' .. unit
end
local has_tags = worker.tags and worker.tags ~= '[]'
local tags = has_tags and cjson.decode(worker.tags) or {}

-- The queues with tags that this worker serves. One without tags has none to look for.
local function queues_with_tags()
  local found, owned = {}, {}
  for _, tag in ipairs(tags) do
    owned[tag] = true
  end
  for _, unit in ipairs(has_tags and units or {}) do
    for _, wanted in ipairs(redis.call('SMEMBERS', tag_sets_key(unit))) do
      local fits = true
      for tag in string.gmatch(wanted, '[^+]+') do
        fits = fits and owned[tag]
      end
      found[#found + 1] = fits and 'unit:' .. unit .. '+' .. wanted or nil
    end
  end
  return found
end

local function as_claim(job_id, job, queue)
  local campaign = read(campaign_key(campaign_of(job_id)))
  local url = model_of(job_id, job, campaign)
  return reply({ queue = queue, job = {
    job_id = job_id,
    campaign_id = campaign.campaign_id,
    attempt = tonumber(job.attempt),
    model_url = url or campaign.model_url,
    model_sha256 = pinned(campaign, url),
    credentials = campaign.credentials,
    spec_json = redis.call('HGET', campaign_key(campaign.campaign_id) .. ':specs', job.spec),
  } })
end

local LOOK_AHEAD = 20
local has_left = false

local function has_all(list, wanted)
  local owned = {}
  for _, one in ipairs(list and cjson.decode(list) or {}) do
    owned[one] = true
  end
  for _, one in ipairs(wanted) do
    if not owned[one] then
      return false
    end
  end
  return true
end

local function could_take(worker_id, spec)
  local other = redis.call('HMGET', worker_key(worker_id), 'status', 'drained', 'capabilities', 'tags')
  if (other[1] ~= 'active' and other[1] ~= 'busy') or other[2] then
    return false
  end
  return has_all(other[3], { spec.compute_unit }) and (not spec.tags or has_all(other[4], spec.tags))
end

-- An attempt of the job has failed on this device a moment ago, and another one is there that could take it.
local function is_for_another(job_id, avoid, avoid_until)
  local left_ms = tonumber(avoid_until) - tonumber(now_ms()) -- more than it ever was: the server's clock was set back
  if avoid ~= arg.worker_id or left_ms <= 0 or left_ms > longest_delay() + ANOTHER_FIRST_MS then
    return false
  end
  local spec = spec_of(job_id, { spec = redis.call('HGET', job_key(job_id), 'spec') })
  for _, worker_id in ipairs(redis.call('SMEMBERS', P .. 'workers')) do
    if worker_id ~= arg.worker_id and could_take(worker_id, spec) then
      return true
    end
  end
  return false
end

-- The first entry of a queue that this worker may take: its job and score, or nil.
local function first_of(queue)
  local place = 0
  while place < LOOK_AHEAD do
    local entry = redis.call('ZRANGE', queue_key(queue), place, place, 'WITHSCORES')
    if not entry[1] then
      return nil
    end
    local job = redis.call('HMGET', job_key(entry[1]), 'status', 'avoid', 'avoid_until')
    if job[1] ~= 'pending' then
      take_out(queue, entry[1])
    elseif queue ~= queues[1] and queue ~= health_queue and job[2] and is_for_another(entry[1], job[2], job[3]) then
      has_left = true
      place = place + 1
    else
      return entry[1], entry[2]
    end
  end
  return nil
end

-- The worker's own queue first; then, among the heads of its units' queues, what came first.
local function users_job()
  local job_id, score = first_of(queues[1])
  if job_id then
    return job_id, score, queues[1]
  end
  local best, best_score, best_queue
  local function look_into(queue)
    job_id, score = first_of(queue)
    if job_id and (not best or tonumber(score) < tonumber(best_score)) then
      best, best_score, best_queue = job_id, score, queue
    end
  end
  for index = 2, #queues do
    look_into(queues[index])
  end
  for _, queue in ipairs(queues_with_tags()) do
    look_into(queue)
  end
  return best, best_score, best_queue
end

-- A checkup waits until no user's job does, unless the device is set aside, was started anew or is overdue.
local function next_job()
  local first_at = worker.status == 'faulty' and 0 or tonumber(worker.checkup_first_at or math.huge)
  local is_first = first_at <= tonumber(now_ms())
  local job_id, score, queue
  if not is_first then
    job_id, score, queue = users_job()
  end
  if not job_id then
    job_id, score = first_of(health_queue)
    queue = health_queue
  end
  if not job_id and is_first and worker.status ~= 'faulty' then
    job_id, score, queue = users_job()
  end
  return job_id, score, queue
end

local function take(job_id, score, queue)
  take_out(queue, job_id)
  local key = job_key(job_id)
  redis.call('HSET', key, 'status', 'running', 'worker_id', arg.worker_id, 'score', score,
    'started_at', now_ms(), 'device', worker.device)
  redis.call('HINCRBY', key, 'attempt', 1)
  redis.call('HDEL', key, 'adoptable', 'claim_id', 'avoid', 'avoid_until')
  if given(arg.claim_id) then
    redis.call('HSET', key, 'claim_id', arg.claim_id)
  end
  local job = read(key)
  mark_running(job_id, job)
  count_move(job_id, 'pending', 'running')
  remember(job_id, 'claimed', job)
  job_changed(job_id)
  campaign_changed(campaign_of(job_id))
  return as_claim(job_id, job, queue)
end

beat(arg.worker_id, worker)

local current = job_of_worker(arg.worker_id, worker)
if current then
  if not given(arg.claim_id) or current.claim_id == arg.claim_id then
    return as_claim(worker.job_id, current)
  end
  give_back(worker.job_id, current, 'its worker asked for work and had none: the answer to its claim was lost')
end
if worker.drained or (worker.status == 'faulty' and not is_set_aside(worker)) then
  return reply({ idle = 'not_ready', queues = { queues[1] } })
end

promote_due(100)
local job_id, score, queue = next_job()
if job_id then
  return take(job_id, score, queue)
end
if worker.status == 'faulty' then
  return reply({ idle = 'not_ready', queues = { queues[1], health_queue } })
end
queues[#queues + 1] = health_queue
return reply({ idle = has_left and 'left' or 'empty', queues = queues, tags = has_tags and tags or nil })
