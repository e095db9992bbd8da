-- An orderly goodbye: the worker is offline, and a job that it still has goes back to the queue.
-- arg: worker_id, instance_id -> {status}

local worker = read(worker_key(arg.worker_id))
if not worker then
  return refuse_unknown_worker(arg.worker_id)
end
local gone = given(arg.instance_id) and 'gone:' .. arg.instance_id or 'gone'
if given(arg.instance_id) and worker.instance_id == gone then
  return reply({ status = worker.status })
end
if is_replaced(worker) then
  return refuse_replaced(arg.worker_id)
end
local job = job_of_worker(arg.worker_id, worker)
if job then
  give_back(worker.job_id, job, 'its worker said goodbye')
end
-- A claim of this process that is still under way must not bring it back.
if worker.instance_id then
  redis.call('HSET', worker_key(arg.worker_id), 'instance_id', gone)
end
-- Why a worker was set aside outlives its goodbye: coming back alone does not mend it.
if worker.status ~= 'faulty' or worker.faulty_cause == 'silent' then
  redis.call('HSET', worker_key(arg.worker_id), 'status', 'offline')
  redis.call('HDEL', worker_key(arg.worker_id), 'faulty_cause', 'faulty_reason')
  worker_changed(arg.worker_id)
end
return reply({ status = redis.call('HGET', worker_key(arg.worker_id), 'status') })
