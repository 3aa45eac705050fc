-- Renews the leases of a call. Its places are taken again where the server lost them; its other buckets and its record
-- are not, because the rest of their contents is lost too.
-- KEYS: the record of the call, then its buckets.
-- ARGV: the id of the call, the lease of a place and the life of the record in milliseconds; then for each bucket 1, or
-- nothing where it holds places.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end

local lease, life = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('PEXPIRE', KEYS[1], text(life))
for at = 2, #KEYS do
  if ARGV[at + 2] == '' then
    redis.call('ZADD', KEYS[at], text(now + lease * 1000), ARGV[1])
    redis.call('PEXPIRE', KEYS[at], text(lease))
  elseif redis.call('PTTL', KEYS[at]) < life then
    redis.call('PEXPIRE', KEYS[at], text(life))
  end
end
return 1
