-- Holds the lease of the periodic duties, or takes it over. The lease is a counter that its holder raises: who has
-- watched it stand still for long enough, by its own monotonic clock, may take it.
-- arg: holder, counter = the value that has stood still, or -1 -> {holder, counter}

local lease = read(P .. 'duties') or {}
local counter = tonumber(lease.counter or '0')
if not lease.holder or lease.holder == arg.holder or arg.counter == counter then
  counter = counter + 1
  redis.call('HSET', P .. 'duties', 'holder', arg.holder, 'counter', counter)
  return reply({ holder = arg.holder, counter = counter })
end
return reply({ holder = lease.holder, counter = counter })
