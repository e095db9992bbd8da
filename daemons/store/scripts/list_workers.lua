-- The devices of a page, the oldest first. arg: limit, status or null, compute_unit or null, tags = [names],
--      after = {registered_at, worker_id} of the page before, or null -> {workers = [{registered_at, worker_id}], one more
--      than the limit if there is more}

local after = given(arg.after) and { tonumber(arg.after[1]), arg.after[2] }

local function is_before(one, other)
  if one[1] ~= other[1] then
    return one[1] < other[1]
  end
  return one[2] < other[2]
end

local function has(list, wanted)
  for _, one in ipairs(list and cjson.decode(list) or {}) do
    if one == wanted then
      return true
    end
  end
  return false
end

local function has_all(list, wanted)
  for _, one in ipairs(wanted) do
    if not has(list, one) then
      return false
    end
  end
  return true
end

local found = {}
for _, worker_id in ipairs(redis.call('SMEMBERS', P .. 'workers')) do
  local told = redis.call('HMGET', worker_key(worker_id), 'registered_at', 'status', 'capabilities', 'tags')
  local one = { tonumber(told[1]), worker_id }
  local is_wanted = (not given(arg.status) or told[2] == arg.status)
    and (not given(arg.compute_unit) or has(told[3], arg.compute_unit))
    and has_all(told[4], arg.tags)
  if is_wanted and (not after or is_before(after, one)) then
    found[#found + 1] = one
  end
end
table.sort(found, is_before)
local page = {}
for index = 1, math.min(#found, arg.limit + 1) do
  page[index] = { integer_text(found[index][1]), found[index][2] }
end
return reply({ workers = page })
