-- Has a campaign be about the bytes of this hash, unless it is about others already.
-- arg: campaign_id, sha256 -> {sha256 = what it is about}

local key = campaign_key(arg.campaign_id)
local campaign = read(key)
if not campaign then
  return refuse('not_found', 'there is no campaign ' .. arg.campaign_id)
end
if not campaign.model_sha256 then
  redis.call('HSET', key, 'model_sha256', arg.sha256)
  campaign_changed(arg.campaign_id)
end
return reply({ sha256 = campaign.model_sha256 or arg.sha256 })
