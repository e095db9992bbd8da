-- What monitoring tells of the whole fleet, all at one moment.
-- -> {counters, duties = {name: ms since it was done}, problems = {name: text}, holder or nil, outputs or nil,
--     oldest_result_ms or nil, undelivered, leaving, webhooks_pending}

local counters, duties = {}, {}
for name, times in pairs(read(P .. 'counters') or {}) do
  counters[name] = tonumber(times)
end
local now = tonumber(now_ms())
for name, at in pairs(read(P .. 'duty_times') or {}) do
  duties[name] = math.max(0, now - tonumber(at))
end
local oldest = redis.call('XRANGE', P .. 'results', '-', '+', 'COUNT', 1)[1]
local undelivered = 0
for _, worker_id in ipairs(redis.call('SMEMBERS', P .. 'workers')) do
  undelivered = undelivered + tonumber(redis.call('HGET', worker_key(worker_id), 'undelivered') or '0')
end
return reply({
  counters = counters,
  duties = duties,
  problems = read(P .. 'duty_problems') or {},
  outputs = redis.call('GET', P .. 'outputs') or nil,
  holder = redis.call('HGET', P .. 'duties', 'holder') or nil,
  oldest_result_ms = oldest and math.max(0, now - tonumber(string.match(oldest[1], '^%d+'))) or nil,
  undelivered = undelivered,
  leaving = redis.call('HLEN', P .. 'leaving'),
  webhooks_pending = redis.call('ZCARD', P .. 'webhooks'),
})
