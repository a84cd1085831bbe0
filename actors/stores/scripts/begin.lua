-- Begins a conversation's log, unless one of this or a later generation is held.
-- Gateways hear of it on the channel, and register their watches anew.
-- KEYS head, log
-- ARGV owner, generation, conversation, channel, then the runs whose messages a snapshot tells of
-- Answers the generation held.
local held = tonumber(redis.call('HGET', KEYS[1], 'g'))
local generation = tonumber(ARGV[2])
if held and held >= generation then return held end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'g', generation, 'n', 0, 'o', ARGV[1])
for i = 5, #ARGV do redis.call('HSET', KEYS[1], 'r:' .. ARGV[i], 'a:0:0:0') end
redis.call('EXPIRE', KEYS[1], 86400)
redis.call('PUBLISH', ARGV[4], ARGV[3])
return generation
