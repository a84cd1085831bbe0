-- Adds messages to the hot copy of a conversation, by compare-and-set on its version (the last
-- seq): a copy that misses what came before is dropped, and read from Postgres when next needed.
-- KEYS version, messages
-- ARGV seq of the first message, seconds to hold, messages to keep, then the messages
local first, hold, keep = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local version = tonumber(redis.call('GET', KEYS[1]))
if version and version >= first then return 0 end
if version ~= first - 1 and first ~= 1 then
  redis.call('DEL', KEYS[1], KEYS[2])
  return 0
end
if first == 1 then redis.call('DEL', KEYS[2]) end
for i = 4, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('LTRIM', KEYS[2], -keep, -1)
redis.call('SET', KEYS[1], first + #ARGV - 4, 'EX', hold)
redis.call('EXPIRE', KEYS[2], hold)
return 1
