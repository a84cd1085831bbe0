-- Registers a gateway with a conversation and reads the log at the same instant.
-- KEYS     head, log, watchers
-- ARGV     owner, gateway's channel, seconds the registration holds, now, generation and n after
--          which to read (n -1: nothing is known)
-- Answers  {'absent'} | {'forbidden'} | {'tail', generation, n, entries} |
--          {'lost', generation, n, entries held, runs held}
local held = redis.call('HMGET', KEYS[1], 'g', 'n', 'o')
if not held[1] then return {'absent'} end
if held[3] ~= ARGV[1] then return {'forbidden'} end
redis.call('ZADD', KEYS[3], tonumber(ARGV[4]) + tonumber(ARGV[3]), ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[3])

local generation, n = tonumber(held[1]), tonumber(held[2])
local after = tonumber(ARGV[6])
if tonumber(ARGV[5]) == generation and after >= 0 and after <= n then
  local entries = redis.call('XRANGE', KEYS[2], '(' .. generation .. '-' .. after, '+',
                             'COUNT', 500)
  local first = entries[1] and tonumber(string.match(entries[1][1], '-(%d+)$'))
  if after == n or first == after + 1 then return {'tail', generation, n, entries} end
end

local runs = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local run = string.match(fields[i], '^r:(.+)$')
  if run then
    table.insert(runs, run)
    table.insert(runs, string.sub(fields[i + 1], 1, 1))
  end
end
return {'lost', generation, n, redis.call('XRANGE', KEYS[2], '-', '+'), runs}
