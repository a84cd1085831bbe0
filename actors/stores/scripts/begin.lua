-- Begins a conversation's log, unless one of this or a later generation is held.
-- KEYS head, log    ARGV owner, generation    Answers the generation held.
local held = tonumber(redis.call('HGET', KEYS[1], 'g'))
local generation = tonumber(ARGV[2])
if held and held >= generation then return held end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'g', generation, 'n', 0, 'o', ARGV[1])
redis.call('EXPIRE', KEYS[1], 86400)
return generation
