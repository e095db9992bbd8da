-- Starts the checkups that are due.
-- arg: interval_ms, limit = devices at most; model, model_url, model_sha256, units, spec: see prelude_checkups.lua
-- -> {started, more = whether there is more to do now}

local now = tonumber(now_ms())

local function due(set, until_ms)
  return redis.call('ZRANGE', P .. set, '-inf', integer_text(until_ms), 'BYSCORE', 'LIMIT', 0, arg.limit)
end

-- One that is away, drained, or put aside by a person can't be checked now. One that is set aside may be away: its
-- checkup waits for it, and that nobody is there is no reason against it.
local function can_be_checked(worker)
  local is_there = worker.status ~= 'faulty' and worker.status ~= 'offline'
  return (is_there or is_set_aside(worker)) and not worker.drained
end

-- When a checkup that begins now is to go before the jobs of users.
local function first_at(worker)
  if worker.checked_boot_id and worker.boot_id ~= worker.checked_boot_id then
    return now
  end
  local was_due = worker.checkup_began and worker.checkup_began + arg.interval_ms or worker.registered_at + FIRST_CHECKUP_MS
  return was_due + FIRST_IN_LINE_MS
end

-- Whether one was started.
local function look_at(worker_id)
  local worker = read(worker_key(worker_id))
  if worker and can_be_checked(worker) then
    local specs = health_specs(worker_id, worker)
    if specs[1] then
      start_checkup(worker_id, worker, specs, first_at(worker))
      return true
    end
  end
  redis.call('ZADD', P .. 'checkups', integer_text(now + LOOK_AGAIN_MS), worker_id)
  return false
end

-- Whose last checkup began longer ago than the interval: it is due from now on.
local regular = due('checked', now - arg.interval_ms)
for _, worker_id in ipairs(regular) do
  redis.call('ZREM', P .. 'checked', worker_id)
  redis.call('ZADD', P .. 'checkups', 'LT', integer_text(now), worker_id)
end
local started, wanted = 0, due('checkups', now)
for _, worker_id in ipairs(wanted) do
  started = started + (look_at(worker_id) and 1 or 0)
end
return reply({ started = started, more = #regular == arg.limit or #wanted == arg.limit })
