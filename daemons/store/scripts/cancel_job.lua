-- Cancels one job: at once if it waits, as soon as its worker hears of it if it runs. An ended one stays as it is.
-- arg: job_id -> {status, stopping}

local job = read(job_key(arg.job_id))
if not job then
  return refuse('not_found', 'there is no job ' .. arg.job_id)
end
if job.status == 'pending' then
  remember(arg.job_id, 'cancelled', job, 'it was cancelled')
  settle(arg.job_id, job, 'cancelled', cjson.encode({ Remark = 'cancelled before it ran' }))
  campaign_changed(campaign_of(arg.job_id))
elseif job.status == 'running' and not job.cancel then
  redis.call('HSET', job_key(arg.job_id), 'cancel', 1)
  job_changed(arg.job_id)
end
return reply({ status = redis.call('HGET', job_key(arg.job_id), 'status'), stopping = job.status == 'running' })
