-- Makes a device known, or knows it again.
-- arg: identity, candidate_id, device_name, ip_address, capabilities = JSON text, device_info = JSON text,
--      device = JSON text of the CSV's device cells, instance_id or null, boot_id or null,
--      builtin_models = JSON text of the names of models that the worker brings along, tags = JSON text of the device's tags
-- -> {worker_id, action = 'created' | 'updated'}

local worker_id = redis.call('HGET', P .. 'devices', arg.identity)
local action = worker_id and 'updated' or 'created'
worker_id = worker_id or arg.candidate_id
local key = worker_key(worker_id)
local worker = read(key) or {}

-- Another process registers: the one that ran the job is gone.
if given(arg.instance_id) and worker.instance_id and worker.instance_id ~= arg.instance_id then
  local job = job_of_worker(worker_id, worker)
  if job then
    arg.retry.delay_ms = {} -- that process is gone for certain: nothing is to be waited for
    lose_attempt(worker.job_id, job, 'its worker was started again', arg.retry, 'restarted')
    worker = read(key)
  end
end

redis.call('HSET', P .. 'devices', arg.identity, worker_id)
redis.call('SADD', P .. 'workers', worker_id)
for _, unit in ipairs(cjson.decode(arg.capabilities)) do
  redis.call('SADD', P .. 'units', unit)
end
redis.call('HSET', key, 'worker_id', worker_id, 'identity', arg.identity, 'device_name', arg.device_name,
  'ip_address', arg.ip_address, 'capabilities', arg.capabilities, 'device_info', arg.device_info, 'device', arg.device,
  'builtin_models', arg.builtin_models, 'tags', arg.tags, 'last_heartbeat', now_ms())
redis.call('HSETNX', key, 'registered_at', now_ms())
if given(arg.instance_id) then
  redis.call('HSET', key, 'instance_id', arg.instance_id)
end
if given(arg.boot_id) then
  redis.call('HSET', key, 'boot_id', arg.boot_id)
end
if not worker.status then
  redis.call('HSET', key, 'status', 'active')
  redis.call('ZADD', P .. 'checkups', integer_text(tonumber(now_ms()) + FIRST_CHECKUP_MS), worker_id)
elseif given(arg.boot_id) and worker.checked_boot_id and worker.checked_boot_id ~= arg.boot_id then
  check_soon(worker_id, worker)
end
redis.call('HINCRBY', P .. 'beats', worker_id, 1)
if worker.status == 'offline' or worker.status == 'cleanup' or (worker.status == 'faulty' and worker.faulty_cause == 'silent') then
  redis.call('HSET', key, 'status', redis.call('HEXISTS', key, 'job_id') == 1 and 'busy' or 'active')
  redis.call('HDEL', key, 'faulty_cause', 'faulty_reason')
end
worker_changed(worker_id)
return reply({ worker_id = worker_id, action = action })
