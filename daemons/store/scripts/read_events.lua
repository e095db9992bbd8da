-- The events after a place, the oldest first; without one, where the events are now.
-- arg: epoch, seq = the place, or both null; limit -> {epoch, seq = of the newest event, events = what follows the place,
--      left out if that is not known any more}

local now = { epoch = epoch(), seq = tonumber(redis.call('GET', P .. 'seq') or '0') }
if not given(arg.epoch) or arg.epoch ~= now.epoch or arg.seq > now.seq then
  return reply(now)
end
local texts = {}
local first = arg.seq + 1
for index, entry in ipairs(redis.call('XRANGE', P .. 'event_log', integer_text(first), '+', 'COUNT', arg.limit)) do
  if index == 1 and entry[1] ~= integer_text(first) .. '-0' then
    return reply(now)
  end
  texts[index] = entry[2][2]
end
if not texts[1] and now.seq >= first then
  return reply(now)
end
-- They are JSON already.
return '{"epoch":"' .. now.epoch .. '","seq":' .. integer_text(now.seq) .. ',"events":[' .. table.concat(texts, ',') .. ']}'
