-- Makes a faulty worker ready again. One that is not faulty stays as it is. What its checkups have shown is forgotten: a
-- person says that this is how the device is now.
-- arg: worker_id -> {status, recovered}

local key = worker_key(arg.worker_id)
local worker = read(key)
if not worker then
  return refuse_unknown_worker(arg.worker_id)
end
redis.call('DEL', P .. 'health:' .. arg.worker_id)
redis.call('HDEL', key, 'troubles')
if worker.status ~= 'faulty' then
  return reply({ status = worker.status, recovered = false })
end
-- It gets a full new window to show itself: without it, one that was silent would be lost again at the next look.
redis.call('HINCRBY', P .. 'beats', arg.worker_id, 1)
take_back(arg.worker_id)
worker_changed(arg.worker_id)
return reply({ status = redis.call('HGET', key, 'status'), recovered = true })
