-- Notes what came of sending a webhook. Of one that has meanwhile been settled, or is about an earlier end, nothing is noted.
-- arg: campaign_id, delivery, error = text, or null if it was taken; again_ms = when to send it again, or null for never
-- -> {status or nil}

local text = redis.call('HGET', campaign_key(arg.campaign_id), 'webhook')
local webhook = text and cjson.decode(text)
if not webhook or webhook.delivery ~= arg.delivery or webhook.status ~= 'pending' then
  return reply({})
end
webhook.attempts = webhook.attempts + 1
if not given(arg.error) then
  webhook.status, webhook.delivered_at, webhook.last_error = 'delivered', now_ms(), nil
  count('webhooks_delivered')
else
  webhook.last_error = arg.error
  count('webhook_failures')
  if not given(arg.again_ms) then
    webhook.status = 'given_up'
    count('webhooks_given_up')
  end
end
if webhook.status == 'pending' then
  redis.call('ZADD', P .. 'webhooks', integer_text(tonumber(now_ms()) + arg.again_ms), arg.campaign_id)
else
  redis.call('ZREM', P .. 'webhooks', arg.campaign_id)
end
set_webhook(arg.campaign_id, webhook)
campaign_changed(arg.campaign_id)
return reply({ status = webhook.status })
