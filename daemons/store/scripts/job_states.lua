-- The jobs of a campaign from one position on, as far as their status and their spec go.
-- arg: campaign_id, start = position, limit -> {statuses = [text], specs = [index]}: both are short where there are no more

local statuses, specs = {}, {}
for position = arg.start, arg.start + arg.limit - 1 do
  local job = redis.call('HMGET', job_key(arg.campaign_id .. '-job-' .. integer_text(position)), 'status', 'spec')
  if not job[1] then
    break
  end
  statuses[#statuses + 1], specs[#specs + 1] = job[1], job[2]
end
return reply({ statuses = statuses[1] and statuses or nil, specs = specs[1] and specs or nil })
