-- An attempt ran past its time and nobody reported it: it is lost.
-- arg: job_id, worker_id, attempt, reason, retry -> {lost}

local job = running_attempt(arg.job_id)
if not job then
  return reply({ lost = false })
end
lose_attempt(arg.job_id, job, arg.reason, arg.retry, 'overdue')
return reply({ lost = true })
