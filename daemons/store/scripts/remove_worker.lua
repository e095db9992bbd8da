-- Forgets a device. A job that it runs goes back to the queue; what waits for it alone has failed.
-- arg: worker_id, force = boolean -> {failed = number of jobs, job_id or nil}

local key = worker_key(arg.worker_id)
local worker = read(key)
if not worker then
  return refuse_unknown_worker(arg.worker_id)
end
local is_there = worker.status ~= 'offline' and worker.status ~= 'faulty'
if is_there and not arg.force then
  return refuse('conflict', arg.worker_id .. ' is ' .. worker.status .. ': it would register again by itself. Stop its ' ..
    'program first, drain it instead, or send force=true')
end

local job = job_of_worker(arg.worker_id, worker)
if job then
  give_back(worker.job_id, job, 'its device was removed')
end

-- What waits in a queue of its own, wherever it waits: a retry may be delayed.
local function waiting_in(queue)
  local waiting = redis.call('ZRANGE', queue_key(queue), 0, -1)
  for _, job_id in ipairs(redis.call('ZRANGE', P .. 'delayed', 0, -1)) do
    local delayed = read(job_key(job_id))
    if delayed and queue_for(job_id, delayed) == queue then
      waiting[#waiting + 1] = job_id
    end
  end
  return waiting
end

local campaigns = {}
local function end_all(waiting, status)
  for _, job_id in ipairs(waiting) do
    local pinned = read(job_key(job_id))
    remember(job_id, status, pinned, 'its device was removed')
    settle(job_id, pinned, status, cjson.encode({ Remark = 'the device that it was for, ' .. arg.worker_id .. ', was removed' }))
    campaigns[campaign_of(job_id)] = true
  end
  return #waiting
end

local failed = end_all(waiting_in('worker:' .. arg.worker_id), 'failed')
end_all(waiting_in('health:' .. arg.worker_id), 'cancelled')
for campaign_id in pairs(campaigns) do
  campaign_changed(campaign_id)
end

redis.call('SREM', P .. 'workers', arg.worker_id)
redis.call('HDEL', P .. 'beats', arg.worker_id)
redis.call('HDEL', P .. 'devices', worker.identity)
redis.call('ZREM', P .. 'checkups', arg.worker_id)
redis.call('ZREM', P .. 'checked', arg.worker_id)
redis.call('DEL', key, P .. 'health:' .. arg.worker_id)
publish('worker_removed', next_version(), { worker_id = arg.worker_id })
return reply({ failed = failed, job_id = job and worker.job_id or nil })
