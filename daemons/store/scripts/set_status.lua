-- Sets a worker's status by hand. 'faulty' gives its job back to the queue; the others never touch a job.
-- arg: worker_id, status, cause, reason -> {status}

local worker = read(worker_key(arg.worker_id))
if not worker then
  return refuse_unknown_worker(arg.worker_id)
end
local key = worker_key(arg.worker_id)
if arg.status == 'faulty' then
  local job = job_of_worker(arg.worker_id, worker)
  if job then
    give_back(worker.job_id, job, 'its worker was set faulty: ' .. arg.reason)
  end
  redis.call('HSET', key, 'status', 'faulty', 'faulty_cause', arg.cause, 'faulty_reason', arg.reason)
else
  redis.call('HSET', key, 'status', arg.status)
  redis.call('HDEL', key, 'faulty_cause', 'faulty_reason')
  if worker.status == 'faulty' or worker.status == 'offline' then
    redis.call('HINCRBY', P .. 'beats', arg.worker_id, 1) -- a full new window to show itself
  end
end
worker_changed(arg.worker_id)
return reply({ status = arg.status })
