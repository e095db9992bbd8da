-- Shared by every script: it stands before each of them when it is loaded.
--
-- KEYS[1] is the prefix of all keys; ARGV[1] is one JSON object of named arguments. A script checks the state that it
-- leaves and either makes the whole change or none: what it refuses, it returns as {refused = code, why = sentence}.
-- Sent twice, it has the effect of once. All times are the server's, in milliseconds.

local P = KEYS[1]
local arg = cjson.decode(ARGV[1])

local function reply(value)
  return cjson.encode(value)
end

local function refuse(code, why)
  return reply({ refused = code, why = why })
end

-- cjson turns JSON's null into a value that is true in Lua.
local function given(value)
  return value ~= nil and value ~= cjson.null
end

local function integer_text(number)
  return string.format('%.0f', number)
end

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function now_ms()
  return integer_text(math.floor(now_us() / 1000))
end

local function read(key)
  local flat = redis.call('HGETALL', key)
  if #flat == 0 then
    return nil
  end
  local hash = {}
  for index = 1, #flat, 2 do
    hash[flat[index]] = flat[index + 1]
  end
  return hash
end

local function worker_key(worker_id) return P .. 'worker:' .. worker_id end
local function campaign_key(campaign_id) return P .. 'campaign:' .. campaign_id end
local function job_key(job_id) return P .. 'job:' .. job_id end
local function queue_key(queue) return P .. 'queue:' .. queue end
local function campaign_of(job_id) return string.match(job_id, '^(.*)%-job%-%d+$') end
local function models_key(campaign_id) return campaign_key(campaign_id) .. ':models' end

-- A campaign of this kind is a checkup, and so are its jobs: prelude_checkups.lua tells of them. What a user submits is of
-- no kind.
local HEALTH = 'health'

-- Said in prelude_checkups.lua: what the end of a checkup means for its device.
local conclude_checkup

-- Events ------------------------------------------------------------------------------------------------------------

local function new_epoch()
  return string.sub(redis.sha1hex(integer_text(now_us()) .. P .. tostring(math.random())), 1, 12)
end

-- Names the life of this database: a listener that sees another epoch starts again from a snapshot.
local function epoch()
  local known = redis.call('GET', P .. 'epoch')
  if not known then
    known = new_epoch()
    redis.call('SET', P .. 'epoch', known)
  end
  return known
end

local function next_version()
  return redis.call('INCR', P .. 'seq')
end

local MOST_EVENTS, HALF_OF_EVENTS_BYTES = 10000, 8 * 1024 * 1024

-- Keeps the newest events, for those who come back and ask what they have missed. They are bounded by their number, and by
-- their bytes: of two halves, the older one goes when the younger one is full.
local function keep_event(version, text)
  local entry = integer_text(version) .. '-0'
  redis.call('XADD', P .. 'event_log', 'MAXLEN', '~', MOST_EVENTS, entry, 'event', text)
  if redis.call('HINCRBY', P .. 'event_halves', 'bytes', #text) > HALF_OF_EVENTS_BYTES then
    local older = redis.call('HGET', P .. 'event_halves', 'from')
    if older then
      redis.call('XTRIM', P .. 'event_log', 'MINID', older)
    end
    redis.call('HSET', P .. 'event_halves', 'from', entry, 'bytes', 0)
  end
end

-- Every number that next_version has given is published once, and in their order: so a listener sees what it misses.
local function publish(kind, version, state)
  local text = cjson.encode({ type = kind, seq = version, epoch = epoch(), at = now_ms(), state = state })
  redis.call('PUBLISH', P .. 'events', text)
  keep_event(version, text)
end

local function worker_changed(worker_id)
  local version = next_version()
  redis.call('HSET', worker_key(worker_id), 'version', version)
  publish('worker', version, read(worker_key(worker_id)))
end

local function campaign_changed(campaign_id)
  local version = next_version()
  redis.call('HSET', campaign_key(campaign_id), 'version', version)
  publish('campaign', version, read(campaign_key(campaign_id)))
end

local function job_changed(job_id)
  local version = next_version()
  redis.call('HSET', job_key(job_id), 'version', version)
  local state = read(job_key(job_id))
  state.job_id = job_id
  state.spec_json = redis.call('HGET', campaign_key(campaign_of(job_id)) .. ':specs', state.spec)
  publish('job', version, state)
end

local function remember(job_id, event, job, reason)
  local entry = { at = now_ms(), event = event, attempt = tonumber(job.attempt), worker_id = job.worker_id, reason = reason }
  redis.call('RPUSH', job_key(job_id) .. ':history', cjson.encode(entry))
end

-- Counts for the whole fleet, whichever replica sees it happen: what monitoring shows.
local function count(what, times)
  redis.call('HINCRBY', P .. 'counters', what, times or 1)
end

-- Queues ------------------------------------------------------------------------------------------------------------

-- Tells the orchestrators that waiting claims may find work: queue name -> number of new jobs.
local function wake(counts)
  if next(counts) then
    redis.call('PUBLISH', P .. 'wake', cjson.encode(counts))
  end
end

local function spec_of(job_id, job)
  return cjson.decode(redis.call('HGET', campaign_key(campaign_of(job_id)) .. ':specs', job.spec))
end

-- A queue of jobs for any device with this unit, or with this unit and these tags: unit:CPU (ONNX)+lab-2+quiet. Which
-- tags the queues of a unit have, as far as jobs wait in them, is kept where claims find it.
local function tag_sets_key(unit) return P .. 'tag_sets:' .. unit end

local function queue_of(spec, kind)
  if kind == HEALTH then
    return 'health:' .. spec.worker_id
  elseif given(spec.worker_id) then
    return 'worker:' .. spec.worker_id
  elseif spec.tags and spec.tags[1] then
    return 'unit:' .. spec.compute_unit .. '+' .. table.concat(spec.tags, '+')
  end
  return 'unit:' .. spec.compute_unit
end

-- The unit and the tags, as one text, of a queue with tags.
local function tagged(queue)
  return string.match(queue, '^unit:(.*%))%+(.+)$')
end

-- To be called after a job has come into this queue.
local function note_queue(queue)
  local unit, tags = tagged(queue)
  if unit then
    redis.call('SADD', tag_sets_key(unit), tags)
  end
end

local function take_out(queue, job_id)
  redis.call('ZREM', queue_key(queue), job_id)
  local unit, tags = tagged(queue)
  if unit and redis.call('EXISTS', queue_key(queue)) == 0 then
    redis.call('SREM', tag_sets_key(unit), tags)
  end
end

-- Higher priority first, then the order of arrival: both in the 53 bits that a score keeps.
local function score_of(spec)
  local arrival = redis.call('INCR', P .. 'arrivals')
  return integer_text(arrival - (spec.priority or 0) * 2 ^ 44)
end

local function queue_for(job_id, job)
  return queue_of(spec_of(job_id, job), job.kind)
end

local function enqueue(job_id, job)
  local queue = queue_for(job_id, job)
  redis.call('ZADD', queue_key(queue), job.score, job_id)
  note_queue(queue)
  return queue
end

-- Takes a pending job out of wherever it waits.
local function withdraw(job_id, job)
  take_out(queue_for(job_id, job), job_id)
  redis.call('ZREM', P .. 'delayed', job_id)
end

-- Lets the worker's own waiting claim look again.
local function wake_worker(worker_id)
  wake({ ['worker:' .. worker_id] = 1 })
end

local function longest_delay()
  return tonumber(redis.call('GET', P .. 'longest_delay') or '0')
end

-- Moves retries that are due back to their queues.
local function promote_due(limit)
  local now = tonumber(now_ms())
  local due = redis.call('ZRANGE', P .. 'delayed', '-inf', integer_text(now), 'BYSCORE', 'LIMIT', 0, limit)
  -- Nothing waits for longer than the longest delay: what seems to was delayed before the server's clock was set back.
  local beyond = '(' .. integer_text(now + longest_delay())
  for _, job_id in ipairs(redis.call('ZRANGE', P .. 'delayed', beyond, '+inf', 'BYSCORE', 'LIMIT', 0, limit)) do
    due[#due + 1] = job_id
  end
  local counts = {}
  for _, job_id in ipairs(due) do
    redis.call('ZREM', P .. 'delayed', job_id)
    local job = read(job_key(job_id))
    if job and job.status == 'pending' then
      local queue = enqueue(job_id, job)
      counts[queue] = (counts[queue] or 0) + 1
    end
  end
  wake(counts)
  return #due
end

-- Campaigns ---------------------------------------------------------------------------------------------------------

-- Microseconds, and always above the last one: unique, in order, and not used again after a reset.
local function new_campaign_id()
  local last = tonumber(redis.call('GET', P .. 'last_campaign') or '0')
  local number = integer_text(math.max(now_us(), last + 1))
  redis.call('SET', P .. 'last_campaign', number)
  return 'campaign-' .. number
end

-- Writes a campaign and all of its jobs, and announces them.
-- state = its fields beyond those of any campaign; specs = [JSON text]; jobs = [index into specs, from 0] -> created_at
local function open_campaign(campaign_id, state, specs, jobs)
  local key, created_at = campaign_key(campaign_id), now_ms()
  local decoded, queues, counts = {}, {}, {}
  for index, text in ipairs(specs) do
    decoded[index] = cjson.decode(text)
    queues[index] = queue_of(decoded[index], state.kind)
    redis.call('HSET', key .. ':specs', index - 1, text)
  end
  for position, spec_index in ipairs(jobs) do
    local job_id, queue = campaign_id .. '-job-' .. (position - 1), queues[spec_index + 1]
    redis.call('HSET', job_key(job_id), 'status', 'pending', 'spec', spec_index)
    if state.kind then
      redis.call('HSET', job_key(job_id), 'kind', state.kind)
    end
    redis.call('ZADD', queue_key(queue), score_of(decoded[spec_index + 1]), job_id)
    counts[queue] = (counts[queue] or 0) + 1
  end
  for queue in pairs(counts) do
    note_queue(queue)
  end
  redis.call('HSET', key, 'campaign_id', campaign_id, 'status', 'running', 'created_at', created_at,
    'total', #jobs, 'pending', #jobs, 'running', 0, 'complete', 0, 'failed', 0, 'cancelled', 0)
  for field, value in pairs(state) do
    redis.call('HSET', key, field, value)
  end
  redis.call('ZADD', P .. (state.kind == HEALTH and 'checkup_campaigns' or 'campaigns'), string.sub(campaign_id, 10), campaign_id)
  campaign_changed(campaign_id)
  wake(counts)
  return created_at
end

-- Models: the campaign's own stands in its hash. Where its jobs name others, `models` counts all of them, and a hash has
-- the others: URL -> JSON of {place, jobs, sha256 or nil = the bytes that all of its rows are about, once that is known}.

local function other_model(campaign_id, url)
  return cjson.decode(redis.call('HGET', models_key(campaign_id), url))
end

-- The bytes that jobs with this model are about, if that is known; url = nil for the campaign's own.
local function pinned(campaign, url)
  if url then
    return other_model(campaign.campaign_id, url).sha256
  end
  return campaign.model_sha256
end

-- Has them be about the bytes of this hash, unless they are about others already: whether it is new.
local function pin(campaign, url, sha256)
  if pinned(campaign, url) then
    return false
  end
  if url then
    local model = other_model(campaign.campaign_id, url)
    model.sha256 = sha256
    redis.call('HSET', models_key(campaign.campaign_id), url, cjson.encode(model))
  else
    redis.call('HSET', campaign_key(campaign.campaign_id), 'model_sha256', sha256)
  end
  return true
end

-- The URL of a job's model, where that is another than its campaign's.
local function model_of(job_id, job, campaign)
  local url = campaign.models and spec_of(job_id, job).model_url
  return given(url) and url or nil
end

-- The campaign that an Idempotency-Key has made, nil if it has made none; or nil and a refusal.
-- arg: idempotency_key or null, digest = of the request that came with it
local function idempotency_key() return P .. 'idempotency:' .. arg.idempotency_key end

local function made_before()
  local known = given(arg.idempotency_key) and read(idempotency_key())
  if not known then
    return nil
  end
  if known.digest ~= arg.digest then
    return nil, refuse('conflict', 'this Idempotency-Key was used for another campaign, ' .. known.campaign_id .. '; use a new key')
  end
  if redis.call('EXISTS', campaign_key(known.campaign_id)) == 0 then
    return nil, refuse('conflict', 'the campaign of this Idempotency-Key, ' .. known.campaign_id .. ', is gone; use a new key')
  end
  return known.campaign_id
end

-- Webhooks: a campaign's `webhook` is JSON of {url, status, attempts, delivery, since, last_error, delivered_at}. Those that
-- are to be sent are in `webhooks`, by when.
local function set_webhook(campaign_id, webhook)
  redis.call('HSET', campaign_key(campaign_id), 'webhook', cjson.encode(webhook))
end

-- The campaign has ended: its message has another name than that of an earlier end.
local function webhook_due(campaign_id, campaign, ended_at)
  if campaign.webhook then
    local known = cjson.decode(campaign.webhook)
    set_webhook(campaign_id, { url = known.url, status = 'pending', attempts = 0, since = ended_at,
      delivery = campaign_id .. '-' .. ended_at })
    redis.call('ZADD', P .. 'webhooks', ended_at, campaign_id)
  end
end

-- The campaign goes on: what was to be sent would be wrong.
local function webhook_waits(campaign_id, campaign)
  if campaign.webhook then
    set_webhook(campaign_id, { url = cjson.decode(campaign.webhook).url, status = 'waiting', attempts = 0 })
    redis.call('ZREM', P .. 'webhooks', campaign_id)
  end
end

-- Takes an ended campaign out of everybody's sight. Its jobs are removed afterwards, in portions: see forget_old.lua.
local function forget_campaign(campaign_id, campaign)
  redis.call('UNLINK', campaign_key(campaign_id), campaign_key(campaign_id) .. ':specs', models_key(campaign_id))
  redis.call('ZREM', P .. 'campaigns', campaign_id)
  redis.call('ZREM', P .. 'checkup_campaigns', campaign_id)
  redis.call('ZREM', P .. 'ended', campaign_id)
  redis.call('ZREM', P .. 'webhooks', campaign_id)
  redis.call('HSET', P .. 'leaving', campaign_id, cjson.encode({ total = tonumber(campaign.total), from = 0 }))
  count('campaigns_forgotten')
  publish('campaign_removed', next_version(), { campaign_id = campaign_id })
end

-- Workers -----------------------------------------------------------------------------------------------------------

-- The worker's process that calls is not the one that registered last.
local function is_replaced(worker)
  return given(arg.instance_id) and worker.instance_id and worker.instance_id ~= arg.instance_id
end

local function refuse_replaced(worker_id)
  return refuse('worker_replaced', 'a newer process has registered as ' .. worker_id .. '; this one must end')
end

local function refuse_unknown_worker(worker_id)
  return refuse('not_found', 'there is no worker ' .. worker_id .. '; it can register with POST /api/register')
end

-- Counts a sign of life. One that was only silent, or had said goodbye, is back with it.
local function beat(worker_id, worker)
  redis.call('HINCRBY', P .. 'beats', worker_id, 1)
  redis.call('HSET', worker_key(worker_id), 'last_heartbeat', now_ms())
  local is_changed = given(arg.undelivered) and arg.undelivered ~= tonumber(worker.undelivered or '0')
  if given(arg.undelivered) then
    redis.call('HSET', worker_key(worker_id), 'undelivered', arg.undelivered)
  end
  local silent = worker.status == 'faulty' and worker.faulty_cause == 'silent'
  if silent or worker.status == 'offline' then
    worker.status = worker.job_id and 'busy' or 'active'
    redis.call('HSET', worker_key(worker_id), 'status', worker.status)
    redis.call('HDEL', worker_key(worker_id), 'faulty_cause', 'faulty_reason')
    is_changed = true
  end
  if is_changed then
    worker_changed(worker_id)
  end
end

-- The worker has no job any more; a status that somebody set meanwhile stays.
local function free_worker(worker_id, job_id)
  local key = worker_key(worker_id)
  if redis.call('HGET', key, 'job_id') ~= job_id then
    return
  end
  redis.call('HDEL', key, 'job_id', 'attempt', 'progress')
  if redis.call('HGET', key, 'status') == 'busy' then
    redis.call('HSET', key, 'status', 'active')
  end
  worker_changed(worker_id)
end

-- Jobs --------------------------------------------------------------------------------------------------------------

local function is_final(status)
  return status ~= 'pending' and status ~= 'running'
end

local function outcome_of(campaign)
  if campaign.cancel_requested and tonumber(campaign.cancelled) > 0 then
    return 'cancelled'
  elseif tonumber(campaign.complete) > 0 then
    return 'completed'
  elseif tonumber(campaign.failed) > 0 then
    return 'failed'
  end
  return 'cancelled'
end

local function end_campaign_if_done(campaign_id)
  local key = campaign_key(campaign_id)
  local campaign = read(key)
  if campaign.status == 'running' and tonumber(campaign.pending) + tonumber(campaign.running) == 0 then
    local ended_at = now_ms()
    redis.call('HSET', key, 'status', outcome_of(campaign), 'ended_at', ended_at)
    redis.call('ZADD', P .. 'ended', ended_at, campaign_id)
    webhook_due(campaign_id, campaign, ended_at)
    if campaign.kind == HEALTH then
      conclude_checkup(campaign_id, campaign)
    end
  end
end

local function count_move(job_id, from, to)
  local key = campaign_key(campaign_of(job_id))
  redis.call('HINCRBY', key, from, -1)
  redis.call('HINCRBY', key, to, 1)
end

-- Writes down who runs the job, where the reaper and the worker's own record look.
local function mark_running(job_id, job)
  local timeout_s = spec_of(job_id, job).timeout_seconds
  local entry = { worker_id = job.worker_id, attempt = tonumber(job.attempt), timeout_s = timeout_s }
  redis.call('HSET', P .. 'running', job_id, cjson.encode(entry))
  redis.call('HSET', worker_key(job.worker_id), 'job_id', job_id, 'attempt', job.attempt)
  -- One that is set aside runs a health job, and stays set aside meanwhile.
  if redis.call('HGET', worker_key(job.worker_id), 'status') ~= 'faulty' then
    redis.call('HSET', worker_key(job.worker_id), 'status', 'busy')
  end
  worker_changed(job.worker_id)
end

-- Gives a job its end state and appends it to the stream of results. The caller announces the campaign.
local function settle(job_id, job, status, result)
  redis.call('HSET', job_key(job_id), 'status', status, 'ended_at', now_ms(), 'result', result)
  redis.call('HDEL', job_key(job_id), 'cancel', 'adoptable')
  redis.call('HDEL', P .. 'running', job_id)
  count_move(job_id, job.status, status)
  count('jobs_' .. status)
  if job.status == 'pending' then
    withdraw(job_id, job)
  elseif job.worker_id then
    free_worker(job.worker_id, job_id)
  end
  if job.kind ~= HEALTH then
    redis.call('XADD', P .. 'results', '*', 'job_id', job_id) -- a checkup has no file of results
  end
  end_campaign_if_done(campaign_of(job_id))
  job_changed(job_id)
end

-- Takes a running job away from its attempt; it waits again, at its old place, at once or after a delay.
local function back_to_queue(job_id, job, delay_ms)
  redis.call('HSET', job_key(job_id), 'status', 'pending')
  redis.call('HDEL', job_key(job_id), 'claim_id')
  redis.call('HDEL', P .. 'running', job_id)
  count_move(job_id, 'running', 'pending')
  if delay_ms > 0 then
    redis.call('SET', P .. 'longest_delay', integer_text(math.max(longest_delay(), delay_ms)))
    redis.call('ZADD', P .. 'delayed', integer_text(tonumber(now_ms()) + delay_ms), job_id)
  else
    wake({ [enqueue(job_id, job)] = 1 })
  end
  job_changed(job_id)
  campaign_changed(campaign_of(job_id))
end

-- The attempt is over without a report, and the job has not lost anything by it.
local function give_back(job_id, job, reason)
  free_worker(job.worker_id, job_id)
  if job.cancel then
    remember(job_id, 'cancelled', job, reason)
    settle(job_id, job, 'cancelled', cjson.encode({ Remark = 'cancelled; ' .. reason }))
    campaign_changed(campaign_of(job_id))
  else
    remember(job_id, 'requeued', job, reason)
    back_to_queue(job_id, job, 0)
  end
end

-- Another device goes first: this one takes the job again only if no other does within that time after it is due.
local ANOTHER_FIRST_MS = 60 * 1000

-- Tried again after a delay, on another device first.
local function try_later(job_id, job, delay_ms, class)
  redis.call('HSET', job_key(job_id), 'avoid', job.worker_id,
    'avoid_until', integer_text(tonumber(now_ms()) + delay_ms + ANOTHER_FIRST_MS))
  count('retries')
  count('retries_' .. class)
  back_to_queue(job_id, job, delay_ms)
end

-- The attempt is lost: tried again after a delay, or failed as poison after too many losses.
-- retry = {delay_ms = {one per loss}, max_losses = n}; class: what it counts as
local function lose_attempt(job_id, job, reason, retry, class)
  local losses = redis.call('HINCRBY', job_key(job_id), 'losses', 1)
  local told = (job.lost and job.lost .. '; ' or '') .. 'attempt ' .. job.attempt .. ' on ' .. job.worker_id .. ': ' .. reason
  redis.call('HSET', job_key(job_id), 'lost', told)
  free_worker(job.worker_id, job_id)
  count('lost_' .. class)
  if job.cancel then
    remember(job_id, 'cancelled', job, reason)
    settle(job_id, job, 'cancelled', cjson.encode({ Remark = 'cancelled; its attempt was lost: ' .. reason }))
    campaign_changed(campaign_of(job_id))
  elseif losses >= retry.max_losses then
    remember(job_id, 'failed', job, reason)
    count('poison')
    local remark = 'given up after ' .. losses .. ' lost attempts (' .. told .. ')'
    settle(job_id, job, 'failed', cjson.encode({ Remark = remark }))
    campaign_changed(campaign_of(job_id))
  else
    remember(job_id, 'lost', job, reason)
    try_later(job_id, job, retry.delay_ms[losses] or 0, class)
  end
end

-- The device could not do its part, and says so: tried again, or failed after too many times.
-- retry = {delay_ms = {one per time}, max_device_failures = n} -> whether it waits again
local function device_failed(job_id, job, reason, retry)
  local times = redis.call('HINCRBY', job_key(job_id), 'device_failures', 1)
  if job.cancel or times >= retry.max_device_failures then
    return false
  end
  free_worker(job.worker_id, job_id)
  remember(job_id, 'device_failed', job, reason)
  try_later(job_id, job, retry.delay_ms[times] or 0, 'device')
  return true
end

-- The worker was only cut off, and nobody has claimed its job meanwhile: the attempt goes on as if never lost.
local function adopt(job_id, job)
  withdraw(job_id, job)
  redis.call('HSET', job_key(job_id), 'status', 'running')
  redis.call('HDEL', job_key(job_id), 'adoptable', 'lost', 'avoid', 'avoid_until')
  if job.adoptable ~= '' then
    redis.call('HSET', job_key(job_id), 'lost', job.adoptable)
  end
  redis.call('HINCRBY', job_key(job_id), 'losses', -1)
  mark_running(job_id, job)
  count_move(job_id, 'pending', 'running')
  remember(job_id, 'resumed', job, 'its worker is back in touch')
  job_changed(job_id)
  campaign_changed(campaign_of(job_id))
end

-- The job that a worker runs, if the store agrees with the worker's own record about it.
local function job_of_worker(worker_id, worker)
  if not worker.job_id then
    return nil
  end
  local job = read(job_key(worker.job_id))
  if job and job.status == 'running' and job.worker_id == worker_id then
    return job
  end
  return nil
end

-- The job, if `attempt` of it runs on this worker; otherwise nil and the refusal.
local function running_attempt(job_id)
  local job = read(job_key(job_id))
  if not job then
    return nil, refuse('not_found', 'there is no job ' .. job_id)
  end
  if job.status ~= 'running' or job.worker_id ~= arg.worker_id or tonumber(job.attempt) ~= arg.attempt then
    local state = 'attempt ' .. (job.attempt or '0') .. ' of it is ' .. job.status
    return nil, refuse('stale_attempt', 'attempt ' .. integer_text(arg.attempt) .. ' of ' .. job_id .. ' is over: ' .. state)
  end
  return job
end
