-- Forgets one campaign that has ended, because a person wants it; forget_old.lua removes its jobs.
-- arg: campaign_id -> {jobs}

local campaign = read(campaign_key(arg.campaign_id))
if not campaign then
  return refuse('not_found', 'there is no campaign ' .. arg.campaign_id)
end
if campaign.status == 'running' then
  return refuse('conflict', arg.campaign_id .. ' is running; end it first with POST /api/campaigns/' .. arg.campaign_id .. '/cancel')
end
if not campaign.filed and campaign.kind ~= HEALTH then
  return refuse('conflict', 'the results of ' .. arg.campaign_id .. ' are not yet on disk, and would be lost; ' ..
    'GET /api/health tells what is in the way')
end
forget_campaign(arg.campaign_id, campaign)
return reply({ jobs = tonumber(campaign.total) })
