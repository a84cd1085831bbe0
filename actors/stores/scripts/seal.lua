-- Seals a run: what its log holds now is its answer. Producers hear of it on the
-- channel, also of a run whose log was lost.
-- KEYS head    ARGV run, channel    Answers the state that the run had, or nothing.
redis.call('PUBLISH', ARGV[2], ARGV[1])
local packed = redis.call('HGET', KEYS[1], 'r:' .. ARGV[1])
if not packed then return false end
local state = string.sub(packed, 1, 1)
if state == 'o' or state == 'a' then
  redis.call('HSET', KEYS[1], 'r:' .. ARGV[1], 'x' .. string.sub(packed, 2))
end
return state
