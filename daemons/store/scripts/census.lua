-- Counts the fleet, all at one moment: devices by status, jobs by where they wait, and for how long the oldest does.
-- arg: units = [names]
-- -> {devices = {status: n}, drained, units = {name: {waiting, oldest_ms or nil}}, pinned = {waiting, oldest_ms or nil},
--     checkups = {waiting}, delayed, running, campaigns = those that are running}

local LEVEL = 2 ^ 44 -- of one priority: see score_of
local now_ms_now = tonumber(now_ms())

-- When the campaign of a job was accepted is in its name.
local function waits_ms(job_id)
  return math.max(0, now_ms_now - math.floor(tonumber(string.match(job_id, '^campaign%-(%d+)')) / 1000))
end

-- The first of each priority is the oldest of it.
local function look_at(place, queue)
  local size = redis.call('ZCARD', queue_key(queue))
  place.waiting = place.waiting + size
  local from = '-inf'
  while size > 0 do
    local first = redis.call('ZRANGE', queue_key(queue), from, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    if not first[1] then
      return
    end
    place.oldest_ms = math.max(place.oldest_ms or 0, waits_ms(first[1]))
    from = integer_text((math.floor(tonumber(first[2]) / LEVEL) + 1) * LEVEL)
  end
end

local units = {}
for _, unit in ipairs(arg.units) do
  units[unit] = { waiting = 0 }
end
for _, unit in ipairs(redis.call('SMEMBERS', P .. 'units')) do
  units[unit] = { waiting = 0 }
end
for unit, place in pairs(units) do
  look_at(place, 'unit:' .. unit)
  for _, tags in ipairs(redis.call('SMEMBERS', tag_sets_key(unit))) do
    look_at(place, 'unit:' .. unit .. '+' .. tags)
  end
end

local devices, drained, pinned, checkups = {}, 0, { waiting = 0 }, { waiting = 0 }
for _, worker_id in ipairs(redis.call('SMEMBERS', P .. 'workers')) do
  local told = redis.call('HMGET', worker_key(worker_id), 'status', 'drained')
  devices[told[1]] = (devices[told[1]] or 0) + 1
  drained = drained + (told[2] and 1 or 0)
  look_at(pinned, 'worker:' .. worker_id)
  look_at(checkups, 'health:' .. worker_id)
end

return reply({
  devices = devices,
  drained = drained,
  units = units,
  pinned = pinned,
  checkups = checkups,
  delayed = redis.call('ZCARD', P .. 'delayed'),
  running = redis.call('HLEN', P .. 'running'),
  campaigns = redis.call('ZCARD', P .. 'campaigns') + redis.call('ZCARD', P .. 'checkup_campaigns') - redis.call('ZCARD', P .. 'ended'),
})
