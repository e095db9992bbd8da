-- Webhooks that are due, of campaigns whose results are whole and on disk. Each comes back after a while unless it is settled.
-- arg: limit, again_ms -> {webhooks = [{campaign_id, delivery, url, attempts, age_ms}]}

local now = tonumber(now_ms())
local taken = {}
for _, campaign_id in ipairs(redis.call('ZRANGE', P .. 'webhooks', '-inf', integer_text(now), 'BYSCORE', 'LIMIT', 0, 1000)) do
  local found = redis.call('HMGET', campaign_key(campaign_id), 'webhook', 'filed')
  if found[2] and #taken < arg.limit then
    local webhook = cjson.decode(found[1])
    redis.call('ZADD', P .. 'webhooks', integer_text(now + arg.again_ms), campaign_id)
    taken[#taken + 1] = { campaign_id = campaign_id, delivery = webhook.delivery, url = webhook.url,
      attempts = webhook.attempts, age_ms = math.max(0, now - tonumber(webhook.since)) }
  end
end
return reply({ webhooks = taken })
