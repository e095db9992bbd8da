-- Counts what waits, all at one moment. arg: units = [names]
-- -> {units = {name: n, with whatever tags}, tagged = [{compute_unit, tags = text, queue_size}],
--     workers = {id: {device_name, queue_size}}, delayed, running, results}

local units, tagged_queues, workers = {}, {}, {}
for _, unit in ipairs(arg.units) do
  units[unit] = 0
end
for _, unit in ipairs(redis.call('SMEMBERS', P .. 'units')) do
  units[unit] = 0
end
for unit in pairs(units) do
  units[unit] = redis.call('ZCARD', queue_key('unit:' .. unit))
  for _, tags in ipairs(redis.call('SMEMBERS', tag_sets_key(unit))) do
    local size = redis.call('ZCARD', queue_key('unit:' .. unit .. '+' .. tags))
    units[unit] = units[unit] + size
    tagged_queues[#tagged_queues + 1] = { compute_unit = unit, tags = tags, queue_size = size }
  end
end
for _, worker_id in ipairs(redis.call('SMEMBERS', P .. 'workers')) do
  workers[worker_id] = {
    device_name = redis.call('HGET', worker_key(worker_id), 'device_name'),
    queue_size = redis.call('ZCARD', queue_key('worker:' .. worker_id)),
  }
end
return reply({
  units = units,
  tagged = tagged_queues[1] and tagged_queues or nil,
  workers = workers,
  delayed = redis.call('ZCARD', P .. 'delayed'),
  running = redis.call('HLEN', P .. 'running'),
  results = redis.call('XLEN', P .. 'results'),
})
