-- Notes how long ago the holder of the lease has done each duty, and what stood in their way: told each time, so that it is
-- known after a reset, too. Another's word counts for nothing.
-- arg: holder, done = {name: ms ago}, problems = {name: text}, outputs = the mark of the folder of results -> {noted}

if redis.call('HGET', P .. 'duties', 'holder') ~= arg.holder then
  return reply({ noted = false })
end
for name, ago_ms in pairs(arg.done) do
  redis.call('HSET', P .. 'duty_times', name, integer_text(tonumber(now_ms()) - ago_ms))
end
redis.call('DEL', P .. 'duty_problems')
for name, text in pairs(arg.problems) do
  redis.call('HSET', P .. 'duty_problems', name, text)
end
redis.call('SET', P .. 'outputs', arg.outputs)
return reply({ noted = true })
