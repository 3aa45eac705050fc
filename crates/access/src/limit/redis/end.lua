-- Ends a call: frees its places and, if its record is known, corrects its other buckets. A second end is none.
-- KEYS: the record of the call, then its buckets.
-- ARGV: the id of the call; then for each bucket the microseconds to add, or nothing where it holds places.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end

local known = redis.call('DEL', KEYS[1]) == 1
for at = 2, #KEYS do
  local more = ARGV[at]
  if more == '' then
    redis.call('ZREM', KEYS[at], ARGV[1])
  elseif known and more ~= '0' then
    local full = tonumber(redis.call('GET', KEYS[at]))
    -- A bucket that is gone was lost with its server: there is no charge to correct.
    if full then
      full = full + tonumber(more)
      local life = math.max(redis.call('PTTL', KEYS[at]), math.ceil((full - now) / 1000), 1)
      redis.call('SET', KEYS[at], text(full), 'PX', text(life))
    end
  end
end
return known and 1 or 0
