-- Counts what waits, all at one moment. arg: units = [names] -> {units = {name: n}, workers = {id: {device_name, queue_size}}, ...}

local units, workers = {}, {}
for _, unit in ipairs(arg.units) do
  units[unit] = 0
end
for _, unit in ipairs(redis.call('SMEMBERS', P .. 'units')) do
  units[unit] = 0
end
for unit in pairs(units) do
  units[unit] = redis.call('ZCARD', queue_key('unit:' .. unit))
end
for _, worker_id in ipairs(redis.call('SMEMBERS', P .. 'workers')) do
  workers[worker_id] = {
    device_name = redis.call('HGET', worker_key(worker_id), 'device_name'),
    queue_size = redis.call('ZCARD', queue_key('worker:' .. worker_id)),
  }
end
return reply({
  units = units,
  workers = workers,
  delayed = redis.call('ZCARD', P .. 'delayed'),
  running = redis.call('HLEN', P .. 'running'),
  results = redis.call('XLEN', P .. 'results'),
})
