-- Looks for the campaign that an Idempotency-Key has made, before anything is made of a request that may be sent again.
-- arg: idempotency_key, digest -> {campaign_id or nil}

local campaign_id, refusal = made_before()
return refusal or reply({ campaign_id = campaign_id })
