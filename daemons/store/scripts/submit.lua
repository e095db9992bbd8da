-- Accepts a campaign with all of its jobs, or says why not.
-- arg: state = the fields of its hash, beyond those of any campaign; specs = [JSON text], jobs = [index into specs, from 0],
--      models = [{url, place, jobs, sha256 or null}] of other models than its own; idempotency_key, digest, remember_s
-- -> {campaign_id, created_at, replayed}

for _, text in ipairs(arg.specs) do
  local worker_id = cjson.decode(text).worker_id
  if given(worker_id) and redis.call('SISMEMBER', P .. 'workers', worker_id) == 0 then
    return refuse('invalid_input', 'worker_id: there is no worker ' .. worker_id .. '; GET /api/workers lists them')
  end
end

local known, refusal = made_before()
if refusal then
  return refusal
elseif known then
  return reply({ campaign_id = known, created_at = redis.call('HGET', campaign_key(known), 'created_at'), replayed = true })
end

local campaign_id = new_campaign_id()
if given(arg.idempotency_key) then
  redis.call('HSET', idempotency_key(), 'campaign_id', campaign_id, 'digest', arg.digest)
  redis.call('EXPIRE', idempotency_key(), arg.remember_s)
end
for _, model in ipairs(arg.models) do
  local kept = { place = model.place, jobs = model.jobs, sha256 = given(model.sha256) and model.sha256 or nil }
  redis.call('HSET', models_key(campaign_id), model.url, cjson.encode(kept))
end
local created_at = open_campaign(campaign_id, arg.state, arg.specs, arg.jobs)
return reply({ campaign_id = campaign_id, created_at = created_at, replayed = false })
