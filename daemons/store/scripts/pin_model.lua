-- Has a campaign's jobs with one model be about the bytes of this hash, unless they are about others already.
-- arg: campaign_id, model_url = null for the campaign's own, sha256 -> {sha256 = what they are about}

local campaign = read(campaign_key(arg.campaign_id))
local url = given(arg.model_url) and arg.model_url or nil
if not campaign or (url and redis.call('HEXISTS', models_key(arg.campaign_id), url) == 0) then
  return refuse('not_found', 'there is no campaign ' .. arg.campaign_id .. ' with such a model')
end
local known = pinned(campaign, url)
if pin(campaign, url, arg.sha256) then
  campaign_changed(arg.campaign_id)
end
return reply({ sha256 = known or arg.sha256 })
