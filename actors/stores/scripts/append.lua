-- Appends to conversations' logs and tells the gateways that watch them, once each.
-- ARGV[1]  msgpack: a list of operations
--          {head, log, watchers, conversation, generation, run, kind, epoch, index, next, events}
-- ARGV[2]  now, in seconds    ARGV[3]  seconds a log is held after a run's end
-- Answers, for each operation, {status, last n, next index}; where it is known already, the n is
-- that of the run's last event.
--
-- A run in the head is "state:epoch:index:n"; state a announced, o open, x sealed, d done.
local HELD = 86400
local now, after_end = tonumber(ARGV[2]), tonumber(ARGV[3])
local answers, mail = {}, {}

local function run_of(head, run)
  local packed = redis.call('HGET', head, 'r:' .. run)
  if not packed then return nil end
  local state, epoch, index, n = string.match(packed, '^(%a):(%d+):(%d+):(%d+)$')
  return {state = state, epoch = tonumber(epoch), index = tonumber(index), n = tonumber(n)}
end

local function refuse(run, op)
  local kind, epoch, index, next_index = op[7], op[8], op[9], op[10]
  if kind == 'message' then
    return run and 'known'
  elseif kind == 'open' then
    if not run then return nil end
    if run.state == 'd' then return 'ended' end
    if run.state == 'x' then return 'sealed' end
    if run.epoch > epoch then return 'fenced' end
    if run.state == 'a' then return nil end
    if run.index ~= index then return 'gap' end
    return run.epoch == epoch and 'known' or nil
  elseif kind == 'end' then
    if run and run.state == 'd' then return 'known' end
    if run and run.epoch > epoch then return 'fenced' end
    return (run and run.index or 0) ~= index and 'gap' or nil
  end
  if not run then return 'absent' end
  if run.epoch ~= epoch then return 'fenced' end
  if run.index ~= index and run.index == next_index then return 'known' end
  if run.state == 'x' then return 'sealed' end
  if run.state ~= 'o' then return 'ended' end
  if run.index ~= index then return 'gap' end
  return nil
end

-- Nothing is trimmed, and the log does not expire, while another run is in progress: a queued one
-- may end (be stopped) meanwhile.
local function trim(head, log, generation, n)
  local fields = redis.call('HGETALL', head)
  for i = 2, #fields, 2 do
    if string.match(fields[i], '^[ox]:%d+:%d+:%d+$') then return end
  end
  redis.call('EXPIRE', log, after_end + 60)
  local mark = redis.call('HMGET', head, 't', 'm')
  if mark[1] and now - tonumber(mark[1]) < after_end then return end
  if mark[2] then
    redis.call('XTRIM', log, 'MINID', generation .. '-' .. (tonumber(mark[2]) + 1))
    for i = 1, #fields, 2 do
      local ended = string.match(fields[i + 1], '^d:%d+:%d+:(%d+)$')
      if ended and tonumber(ended) <= tonumber(mark[2]) then
        redis.call('HDEL', head, fields[i])
      end
    end
  end
  redis.call('HSET', head, 't', now, 'm', n)
end

local STATE = {message = 'a', open = 'o', delta = 'o', ['end'] = 'd'}

for at, op in ipairs(cmsgpack.unpack(ARGV[1])) do
  local head, log, watchers, conversation, generation = op[1], op[2], op[3], op[4], op[5]
  local held = redis.call('HMGET', head, 'g', 'n')
  if tonumber(held[1]) ~= generation then
    answers[at] = {'absent', 0, 0}
  else
    local run = run_of(head, op[6])
    local n = tonumber(held[2])
    local why = refuse(run, op)
    if why then
      answers[at] = {why, why == 'known' and run.n or n, run and run.index or 0}
    else
      local first = n + 1
      for _, event in ipairs(op[11]) do
        n = n + 1
        redis.call('XADD', log, generation .. '-' .. n, 'e', event)
      end
      local index = (op[7] == 'message' or op[7] == 'end') and (run and run.index or 0) or op[10]
      redis.call('HSET', head, 'n', n, 'r:' .. op[6],
                 STATE[op[7]] .. ':' .. op[8] .. ':' .. index .. ':' .. n)
      if op[7] == 'end' then
        trim(head, log, generation, n)
      elseif op[7] ~= 'delta' then
        redis.call('EXPIRE', log, HELD)
        redis.call('EXPIRE', head, HELD)
      end
      local told = #op[11] > 0 and redis.call('ZRANGEBYSCORE', watchers, now, '+inf') or {}
      for _, gateway in ipairs(told) do
        mail[gateway] = mail[gateway] or {}
        table.insert(mail[gateway], {conversation, generation, first, op[11]})
      end
      answers[at] = {'ok', n, index}
    end
  end
end

for gateway, items in pairs(mail) do
  redis.call('PUBLISH', gateway, cmsgpack.pack(items))
end
return answers
