-- Starts a checkup of one device now, because a person asks for it.
-- arg: worker_id; model, model_url, model_sha256, units, spec: see prelude_checkups.lua -> {campaign_id, jobs}

local worker = read(worker_key(arg.worker_id))
if not worker then
  return refuse_unknown_worker(arg.worker_id)
end
if worker.checkup then
  return refuse('conflict', 'a checkup of ' .. arg.worker_id .. ' is open: ' .. worker.checkup)
end
if worker.drained then
  return refuse('conflict', arg.worker_id .. ' is drained and takes no jobs, not even health jobs; undrain it first')
end
if worker.status == 'faulty' and worker.faulty_cause == 'by_hand' then
  return refuse('conflict', arg.worker_id .. ' was set faulty by hand, and gets no health jobs until it is reset by hand')
end
local specs = health_specs(arg.worker_id, worker)
if not specs[1] then
  return refuse('conflict', arg.worker_id .. " can't be checked: its program is too old to have the reference model " ..
    arg.model .. ', or none of its units is known to take an .onnx')
end
local campaign_id = start_checkup(arg.worker_id, worker, specs, tonumber(now_ms()))
return reply({ campaign_id = campaign_id, jobs = #specs })
