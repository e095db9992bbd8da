-- The file of a campaign is on disk, or none is wanted yet: its entries leave the stream of results.
-- arg: campaign_id, entries = [stream identifiers], version = of the campaign as it was written, or null -> {removed}

local removed = 0
for _, entry in ipairs(arg.entries) do
  removed = removed + redis.call('XDEL', P .. 'results', entry)
end
-- Only what has not changed since: a campaign that was opened again has no whole file.
if given(arg.version) and redis.call('HGET', campaign_key(arg.campaign_id), 'version') == integer_text(arg.version) then
  redis.call('HSET', campaign_key(arg.campaign_id), 'filed', 1)
end
return reply({ removed = removed })
