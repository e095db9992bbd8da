-- Gives the lease of the duties up, so that another replica need not wait for it. arg: holder -> {dropped}

if redis.call('HGET', P .. 'duties', 'holder') ~= arg.holder then
  return reply({ dropped = false })
end
redis.call('DEL', P .. 'duties')
return reply({ dropped = true })
