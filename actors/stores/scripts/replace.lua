-- Replaces the hot copy of a conversation by what Postgres says, unless it holds a later version.
-- KEYS version, messages    ARGV version, seconds to hold, then the messages
local version = tonumber(redis.call('GET', KEYS[1]))
if version and version >= tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[2])
for i = 3, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
