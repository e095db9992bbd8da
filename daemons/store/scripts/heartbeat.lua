-- Counts a sign of life, keeps the attempt's progress, and tells the worker what it must know.
-- arg: worker_id, instance_id, says_job = false (nothing said) | true, job_id or null, attempt, progress = JSON text or null
-- -> {status, cancel = job_id or nil}

local worker = read(worker_key(arg.worker_id))
if not worker then
  return refuse_unknown_worker(arg.worker_id)
end
if is_replaced(worker) then
  return refuse_replaced(arg.worker_id)
end
beat(arg.worker_id, worker)

local function status()
  return redis.call('HGET', worker_key(arg.worker_id), 'status')
end

local current = job_of_worker(arg.worker_id, worker)
if not arg.says_job then
  return reply({ status = status(), cancel = current and current.cancel and worker.job_id or nil })
end
if not given(arg.job_id) then
  if current then
    give_back(worker.job_id, current, 'its worker says that it has no job')
  end
  return reply({ status = status() })
end

-- What the store believes it to run, it doesn't.
if current and worker.job_id ~= arg.job_id then
  give_back(worker.job_id, current, 'its worker works on ' .. arg.job_id .. ' instead')
  current = nil
end

local waiting = read(job_key(arg.job_id))
if waiting and waiting.adoptable and waiting.status == 'pending' and waiting.worker_id == arg.worker_id
  and tonumber(waiting.attempt) == arg.attempt and not current and worker.status ~= 'faulty' then
  adopt(arg.job_id, waiting)
end

local job, refusal = running_attempt(arg.job_id)
if not job then
  return refusal
end
if given(arg.progress) then
  redis.call('HSET', worker_key(arg.worker_id), 'progress', arg.progress)
  local state = { job_id = arg.job_id, worker_id = arg.worker_id, attempt = arg.attempt, progress = arg.progress }
  publish('progress', next_version(), state)
end
return reply({ status = status(), cancel = job.cancel and arg.job_id or nil })
