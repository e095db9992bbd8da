-- Lets a worker take no more jobs, or take them again. What it runs goes on.
-- arg: worker_id, drained = boolean, reason -> {status, drained, job_id or nil}

local key = worker_key(arg.worker_id)
local worker = read(key)
if not worker then
  return refuse_unknown_worker(arg.worker_id)
end
if arg.drained then
  redis.call('HSET', key, 'drained', arg.reason)
else
  redis.call('HDEL', key, 'drained')
end
if (worker.drained ~= nil) ~= arg.drained then
  worker_changed(arg.worker_id)
  if not arg.drained then
    wake_worker(arg.worker_id)
  end
end
return reply({ status = worker.status, drained = arg.drained, job_id = worker.job_id })
