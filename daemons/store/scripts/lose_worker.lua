-- A worker was silent for too long: it is faulty, and its attempt is lost. Does nothing if it has beaten meanwhile.
-- arg: worker_id, beats = the count that has not changed, silent_s, retry -> {lost, job_id or nil}

local worker = read(worker_key(arg.worker_id))
local beats = tonumber(redis.call('HGET', P .. 'beats', arg.worker_id) or '0')
if not worker or beats ~= arg.beats or worker.status == 'offline' then
  return reply({ lost = false })
end
local reason = 'no sign of life for ' .. integer_text(arg.silent_s) .. ' s'
if worker.status == 'faulty' then
  -- Why it is faulty stays so. What it runs all the same, such as a health job, is lost.
  local job = job_of_worker(arg.worker_id, worker)
  if job then
    lose_attempt(worker.job_id, job, reason, arg.retry, 'silent')
  end
  return reply({ lost = job ~= nil, job_id = job and worker.job_id or nil })
end
redis.call('HSET', worker_key(arg.worker_id), 'status', 'faulty', 'faulty_cause', 'silent', 'faulty_reason', reason)
local job = job_of_worker(arg.worker_id, worker)
if job then
  -- What is known of earlier losses: it holds again if this one turns out to be none.
  redis.call('HSET', job_key(worker.job_id), 'adoptable', job.lost or '')
  lose_attempt(worker.job_id, job, reason, arg.retry, 'silent')
end
worker_changed(arg.worker_id)
return reply({ lost = true, job_id = job and worker.job_id or nil })
