-- Gives a worker the next job that it can run.
-- arg: worker_id, instance_id, claim_id
-- -> {job = {...}, queue = the name of the one that it was taken from, nil if this worker had it already}, or
--    {idle = 'empty' | 'not_ready', queues = [names]}: nothing waits in the queues that this worker serves, or it may
--    take nothing now

local worker = read(worker_key(arg.worker_id))
if not worker then
  return refuse_unknown_worker(arg.worker_id)
end
if is_replaced(worker) then
  return refuse_replaced(arg.worker_id)
end

local queues = { 'worker:' .. arg.worker_id }
for _, unit in ipairs(cjson.decode(worker.capabilities)) do
  queues[#queues + 1] = 'unit:' .. unit
end

local function as_claim(job_id, job, queue)
  local campaign = read(campaign_key(campaign_of(job_id)))
  return reply({ queue = queue, job = {
    job_id = job_id,
    campaign_id = campaign.campaign_id,
    attempt = tonumber(job.attempt),
    model_url = campaign.model_url,
    model_sha256 = campaign.model_sha256,
    credentials = campaign.credentials,
    spec_json = redis.call('HGET', campaign_key(campaign.campaign_id) .. ':specs', job.spec),
  } })
end

-- The worker's own queue first; then, among the heads of its units' queues, what came first.
local function next_queue()
  if redis.call('ZCARD', queue_key(queues[1])) > 0 then
    return queues[1]
  end
  local best, best_score
  for index = 2, #queues do
    local head = redis.call('ZRANGE', queue_key(queues[index]), 0, 0, 'WITHSCORES')
    if head[1] and (not best or tonumber(head[2]) < best_score) then
      best, best_score = queues[index], tonumber(head[2])
    end
  end
  return best
end

local function take(job_id, score, queue)
  local key = job_key(job_id)
  redis.call('HSET', key, 'status', 'running', 'worker_id', arg.worker_id, 'score', score,
    'started_at', now_ms(), 'device', worker.device)
  redis.call('HINCRBY', key, 'attempt', 1)
  redis.call('HDEL', key, 'adoptable', 'claim_id')
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
if worker.status == 'faulty' then
  return reply({ idle = 'not_ready', queues = queues })
end

promote_due(100)
local queue = next_queue()
while queue do
  local head = redis.call('ZPOPMIN', queue_key(queue))
  if redis.call('HGET', job_key(head[1]), 'status') == 'pending' then
    return take(head[1], head[2], queue)
  end
  queue = next_queue()
end
return reply({ idle = 'empty', queues = queues })
