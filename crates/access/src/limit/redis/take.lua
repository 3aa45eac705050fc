-- Takes a call from all its buckets, or from none.
-- KEYS: the record of the call, then its buckets.
-- ARGV: the id of the call, the lease of a place and the life of the record in milliseconds; then two for each bucket:
-- its period and the part of the call in microseconds, or 0 and the limit where it holds places of parallel calls.
-- Answers 1 and, for each bucket, the microseconds after which it is full again; or 0, the position of the bucket
-- without room from 1, and the microseconds by which the call is over.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- Numbers become text here: Lua's own conversion keeps 14 digits.
local function text(number) return string.format('%.0f', number) end

local again = redis.call('EXISTS', KEYS[1]) == 1
local told = {1}
for at = 2, #KEYS do
  local period, part = tonumber(ARGV[2 * at]), tonumber(ARGV[2 * at + 1])
  if period == 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[at], '-inf', text(now))
    if not again and redis.call('ZCARD', KEYS[at]) >= part then return {0, at - 1, 0} end
    told[at] = 0
  else
    local used = math.max((tonumber(redis.call('GET', KEYS[at])) or 0) - now, 0)
    if not again then used = used + part end
    if not again and used > period then return {0, at - 1, used - period} end
    told[at] = used
  end
end
if again then return told end

local lease, life = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('SET', KEYS[1], '1', 'PX', text(life))
for at = 2, #KEYS do
  if tonumber(ARGV[2 * at]) == 0 then
    redis.call('ZADD', KEYS[at], text(now + lease * 1000), ARGV[1])
    redis.call('PEXPIRE', KEYS[at], text(lease))
  else
    local full = math.ceil(told[at] / 1000)
    redis.call('SET', KEYS[at], text(now + told[at]), 'PX', text(full + life))
  end
end
return told
