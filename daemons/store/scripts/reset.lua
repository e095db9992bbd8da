-- Removes every key of ours and no other, and so begins a new epoch. arg: pattern = the prefix as a glob -> {keys, workers, campaigns, jobs}

local counts = { keys = 0, jobs = 0 }
counts.workers = redis.call('SCARD', P .. 'workers')
counts.campaigns = redis.call('ZCARD', P .. 'campaigns')
counts.results = redis.call('XLEN', P .. 'results')
for _, campaign_id in ipairs(redis.call('ZRANGE', P .. 'campaigns', 0, -1)) do
  counts.jobs = counts.jobs + tonumber(redis.call('HGET', campaign_key(campaign_id), 'total') or '0')
end
-- Keys are gathered before any is removed: a scan promises nothing about a table that shrinks under it.
local found, cursor = {}, '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', arg.pattern, 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    found[#found + 1] = key
  end
until cursor == '0'
for _, key in ipairs(found) do
  counts.keys = counts.keys + redis.call('UNLINK', key)
end
-- Who hears it knows that there is nothing, and needs no snapshot. The epoch that it names is nobody's: the next one begins
-- with the next event, as number 1, for no key is left that could tell of it.
redis.call('PUBLISH', P .. 'events', cjson.encode({ type = 'reset', seq = 0, epoch = new_epoch(), at = now_ms() }))
return reply(counts)
