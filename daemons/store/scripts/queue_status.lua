-- Counts what waits, all at one moment. arg: units = [names]
-- -> {units = {name: n, with whatever tags}, waits = {unit, of jobs without tags, or worker: ms},
--     tagged = [{compute_unit, tags = text, queue_size, oldest_ms}],
--     workers = {id: {device_name, queue_size}}, delayed, running, results}

local units, waits, tagged_queues, workers = {}, {}, {}, {}
local now = tonumber(now_ms())

-- How long the oldest job of a queue has waited, or nil: in each priority, the first in line is the oldest.
local function oldest_ms(queue)
  local from, oldest = '-inf', nil
  while true do
    local head = redis.call('ZRANGE', queue_key(queue), from, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    if not head[1] then
      return oldest
    end
    local created = tonumber(redis.call('HGET', campaign_key(campaign_of(head[1])), 'created_at') or now)
    oldest = math.max(oldest or 0, now - created)
    from = integer_text((math.floor(tonumber(head[2]) / 2 ^ 44) + 1) * 2 ^ 44)
  end
end

for _, unit in ipairs(arg.units) do
  units[unit] = 0
end
for _, unit in ipairs(redis.call('SMEMBERS', P .. 'units')) do
  units[unit] = 0
end
for unit in pairs(units) do
  units[unit] = redis.call('ZCARD', queue_key('unit:' .. unit))
  waits[unit] = oldest_ms('unit:' .. unit)
  for _, tags in ipairs(redis.call('SMEMBERS', tag_sets_key(unit))) do
    local queue = 'unit:' .. unit .. '+' .. tags
    local size = redis.call('ZCARD', queue_key(queue))
    units[unit] = units[unit] + size
    tagged_queues[#tagged_queues + 1] =
      { compute_unit = unit, tags = tags, queue_size = size, oldest_ms = oldest_ms(queue) }
  end
end
for _, worker_id in ipairs(redis.call('SMEMBERS', P .. 'workers')) do
  workers[worker_id] = {
    device_name = redis.call('HGET', worker_key(worker_id), 'device_name'),
    queue_size = redis.call('ZCARD', queue_key('worker:' .. worker_id)),
  }
  waits[worker_id] = oldest_ms('worker:' .. worker_id)
end
return reply({
  units = units,
  waits = next(waits) and waits or nil,
  tagged = tagged_queues[1] and tagged_queues or nil,
  workers = workers,
  delayed = redis.call('ZCARD', P .. 'delayed'),
  running = redis.call('HLEN', P .. 'running'),
  results = redis.call('XLEN', P .. 'results'),
})
