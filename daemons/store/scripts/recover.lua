-- Makes a faulty worker ready again. One that is not faulty stays as it is.
-- arg: worker_id -> {status, recovered}

local key = worker_key(arg.worker_id)
local worker = read(key)
if not worker then
  return refuse_unknown_worker(arg.worker_id)
end
if worker.status ~= 'faulty' then
  return reply({ status = worker.status, recovered = false })
end
redis.call('HSET', key, 'status', 'active')
redis.call('HDEL', key, 'faulty_cause', 'faulty_reason')
-- It gets a full new window to show itself: without it, one that was silent would be lost again at the next look.
redis.call('HINCRBY', P .. 'beats', arg.worker_id, 1)
redis.call('HDEL', key, 'failures_in_a_row')
worker_changed(arg.worker_id)
wake_worker(arg.worker_id)
return reply({ status = 'active', recovered = true })
