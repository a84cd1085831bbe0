-- Refuses all further appends of a run's earlier epochs, so that what its log holds can be read.
-- KEYS head    ARGV run, epoch    Answers the state of the run, or nothing.
local packed = redis.call('HGET', KEYS[1], 'r:' .. ARGV[1])
if not packed then return false end
local state, epoch, rest = string.match(packed, '^(%a):(%d+):(.+)$')
if state ~= 'd' and tonumber(epoch) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'r:' .. ARGV[1], state .. ':' .. ARGV[2] .. ':' .. rest)
end
return state
