-- Notes that duties were done now, by the holder of their lease, and what stood in their way. Another's word counts for
-- nothing. arg: holder, done = [names], problems = {name: text}, outputs = the mark of the folder of results -> {noted}

if redis.call('HGET', P .. 'duties', 'holder') ~= arg.holder then
  return reply({ noted = false })
end
for _, name in ipairs(arg.done) do
  redis.call('HSET', P .. 'duty_times', name, now_ms())
end
redis.call('DEL', P .. 'duty_problems')
for name, text in pairs(arg.problems) do
  redis.call('HSET', P .. 'duty_problems', name, text)
end
redis.call('SET', P .. 'outputs', arg.outputs)
return reply({ noted = true })
