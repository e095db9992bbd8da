-- Shared by every script, after prelude.lua: devices that are set aside, and their checkups.
--
-- A checkup is a campaign of kind `health`: one job for each unit of one device, in a queue of the device's own. While a
-- device has one open, its `checkup` names it. Otherwise it is in `checked`, by when its last one began, or in `checkups`,
-- by when it is to be looked at, or in both.

local FIRST_CHECKUP_MS = 10 * 60 * 1000 -- a device that was never checked is known for so long first
local FIRST_IN_LINE_MS = 3600 * 1000    -- a checkup that is overdue for so long goes before the jobs of users
local PAUSE_MS, LONGEST_PAUSE_MS = 60 * 1000, 3600 * 1000
local LOOK_AGAIN_MS = 60 * 1000         -- at a device that could not be checked when it was due
local MOST_FIGURES = 30

-- Such a device gets health jobs alone, until a checkup is passed. One that was set so by hand gets none.
local function is_set_aside(worker)
  return worker.status == 'faulty' and (worker.faulty_cause == 'failures' or worker.faulty_cause == 'health')
end

-- The caller announces it. What a person has decided stays.
local function set_aside(worker_id, cause, reason)
  local key = worker_key(worker_id)
  if redis.call('EXISTS', key) == 0 or redis.call('HGET', key, 'faulty_cause') == 'by_hand' then
    return false
  end
  redis.call('HSET', key, 'status', 'faulty', 'faulty_cause', cause, 'faulty_reason', reason)
  return true
end

-- The caller announces it.
local function take_back(worker_id)
  local key = worker_key(worker_id)
  redis.call('HSET', key, 'status', redis.call('HEXISTS', key, 'job_id') == 1 and 'busy' or 'active')
  redis.call('HDEL', key, 'faulty_cause', 'faulty_reason', 'failures_in_a_row')
  wake_worker(worker_id)
end

-- Once more it was set aside, or has failed a checkup: each time the pause after the last checkup is twice as long, until
-- a job of a user's goes well. So a device that passes checkups and fails jobs is tried less and less often.
local function plan_next_try(worker_id)
  local key = worker_key(worker_id)
  local times = redis.call('HINCRBY', key, 'troubles', 1)
  if redis.call('HEXISTS', key, 'checkup') == 0 then
    local pause = math.min(PAUSE_MS * 2 ^ (times - 1), LONGEST_PAUSE_MS)
    local due = math.max(tonumber(now_ms()), tonumber(redis.call('HGET', key, 'checked_at') or '0') + pause)
    redis.call('ZADD', P .. 'checkups', 'LT', integer_text(due), worker_id)
  end
end

-- A device that could not do its part so many times in a row is set aside: a faulty device is not a faulty job.
local function set_aside_after(worker_id, reason, most)
  local key = worker_key(worker_id)
  if redis.call('EXISTS', key) == 0 then
    return
  end
  local times = redis.call('HINCRBY', key, 'failures_in_a_row', 1)
  local why = 'it failed ' .. times .. ' times in a row; the last time: ' .. reason
  if times >= most and set_aside(worker_id, 'failures', why) then
    plan_next_try(worker_id)
    worker_changed(worker_id)
  end
end

-- The machine was started anew since its last checkup began.
local function check_soon(worker_id, worker)
  if worker.checkup then
    redis.call('HSET', worker_key(worker_id), 'checkup_first_at', now_ms(), 'checked_boot_id', arg.boot_id)
  else
    redis.call('ZADD', P .. 'checkups', 'LT', now_ms(), worker_id)
  end
end

-- Starting ----------------------------------------------------------------------------------------------------------

-- The specs of a device's health jobs: one for each of its units that are checked at all.
-- arg: model, units = {unit: true}, spec = {what all of them have}
local function health_specs(worker_id, worker)
  local is_known = false
  for _, model in ipairs(cjson.decode(worker.builtin_models or '[]')) do
    is_known = is_known or model == arg.model
  end
  local specs = {}
  for _, unit in ipairs(is_known and cjson.decode(worker.capabilities) or {}) do
    if arg.units[unit] then
      arg.spec.compute_unit, arg.spec.worker_id = unit, worker_id
      specs[#specs + 1] = cjson.encode(arg.spec)
    end
  end
  return specs
end

-- arg: as above, and model_url, model_sha256. first_at = when it goes before the jobs of users -> the campaign
local function start_checkup(worker_id, worker, specs, first_at)
  local key, campaign_id, jobs = worker_key(worker_id), new_campaign_id(), {}
  for index = 1, #specs do
    jobs[index] = index - 1
  end
  redis.call('HSET', key, 'checkup', campaign_id, 'checkup_began', now_ms(), 'checkup_first_at', integer_text(first_at))
  if worker.boot_id then
    redis.call('HSET', key, 'checked_boot_id', worker.boot_id)
  end
  redis.call('ZREM', P .. 'checkups', worker_id)
  redis.call('ZREM', P .. 'checked', worker_id)
  count('checkups_started')
  open_campaign(campaign_id, { kind = HEALTH, worker_id = worker_id, model_url = arg.model_url,
    model_sha256 = arg.model_sha256 }, specs, jobs)
  worker_changed(worker_id)
  return campaign_id
end

-- Ending ------------------------------------------------------------------------------------------------------------

local function unit_of(job_id)
  return spec_of(job_id, { spec = redis.call('HGET', job_key(job_id), 'spec') }).compute_unit
end

-- What a health job says of its device counts with the step that ends the job.
-- judgement = {passed, reason, median_ms, usual_ms, figure}, each of them null if there is none
local function note_judgement(job_id, job, judgement)
  local kept = { passed = judgement.passed, reason = judgement.reason, median_ms = judgement.median_ms,
    usual_ms = judgement.usual_ms }
  redis.call('HSET', job_key(job_id), 'health', cjson.encode(kept))
  if given(judgement.figure) then
    local key, unit = P .. 'health:' .. job.worker_id, unit_of(job_id)
    local figures = cjson.decode(redis.call('HGET', key, unit) or '[]')
    figures[#figures + 1] = judgement.figure
    if #figures > MOST_FIGURES then
      table.remove(figures, 1)
    end
    redis.call('HSET', key, unit, cjson.encode(figures))
  end
  if judgement.passed == false then
    set_aside(job.worker_id, 'health', judgement.reason)
  end
end

-- What a noisy run says against its device counts if the next run says it, too.
local function doubt(job_id, job, reason, retry)
  redis.call('HSET', job_key(job_id), 'doubted', 1)
  redis.call('HDEL', job_key(job_id), 'adoptable') -- the attempt has ended: a beat of it that comes late resumes nothing
  remember(job_id, 'doubted', job, reason)
  if job.status == 'running' then
    free_worker(job.worker_id, job_id)
    back_to_queue(job_id, job, retry.delay_ms[1] or 0)
  end
end

-- The judgement on a health job that has ended. One that nobody reported has failed with its device, or was cancelled.
local function judgement_on(job_id)
  local job = redis.call('HMGET', job_key(job_id), 'health', 'status', 'result')
  if job[1] then
    return cjson.decode(job[1])
  end
  if job[2] == 'failed' then
    local remark = cjson.decode(job[3]).Remark
    local why = given(remark) and remark or 'nobody knows why'
    return { passed = false, reason = 'its reference model could not be run on ' .. unit_of(job_id) .. ': ' .. why }
  end
  local why = job[2] == 'cancelled' and 'its checkup was cancelled' or 'an orchestrator that knows no checkups took its report'
  return { passed = cjson.null, reason = why }
end

-- All of a checkup: failed if one unit has failed; without a result if one has none; otherwise passed.
local function outcome_of_checkup(campaign_id, total)
  local units, failed, unclear = {}, {}, {}
  for position = 0, total - 1 do
    local job_id = campaign_id .. '-job-' .. position
    local found = judgement_on(job_id)
    units[unit_of(job_id)] = found
    if found.passed == false then
      failed[#failed + 1] = found.reason
    elseif found.passed ~= true then
      unclear[#unclear + 1] = found.reason
    end
  end
  local outcome = { at = now_ms(), units = units, passed = true, reason = cjson.null }
  if failed[1] then
    outcome.passed, outcome.reason = false, table.concat(failed, '; ')
  elseif unclear[1] then
    outcome.passed, outcome.reason = cjson.null, unclear[1]
  end
  return outcome
end

conclude_checkup = function(campaign_id, campaign)
  local worker_id = campaign.worker_id
  local key = worker_key(worker_id)
  if redis.call('HGET', key, 'checkup') ~= campaign_id then
    return -- its device was removed meanwhile
  end
  local outcome = outcome_of_checkup(campaign_id, tonumber(campaign.total))
  redis.call('HSET', key, 'health', cjson.encode(outcome), 'checked_at', outcome.at)
  redis.call('ZADD', P .. 'checked', redis.call('HGET', key, 'checkup_began'), worker_id)
  redis.call('HDEL', key, 'checkup', 'checkup_first_at')
  if outcome.passed == false then
    count('checkups_failed')
    set_aside(worker_id, 'health', outcome.reason)
  elseif outcome.passed == true then
    count('checkups_passed')
  end
  local is_aside = is_set_aside(read(key))
  if is_aside and outcome.passed == true then
    take_back(worker_id)
  elseif is_aside then
    plan_next_try(worker_id)
  end
  worker_changed(worker_id)
end
