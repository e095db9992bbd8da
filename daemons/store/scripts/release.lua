-- Hands a running job back unharmed: it waits again at its old place, and no loss is counted.
-- arg: job_id, worker_id, attempt, reason -> {status}

local job, refusal = running_attempt(arg.job_id)
if not job then
  return refusal
end
give_back(arg.job_id, job, arg.reason)
return reply({ status = redis.call('HGET', job_key(arg.job_id), 'status') })
