-- elect.lua - one broker at a time lifts; stands for election, goes on, or steps back.
-- SPDX-License-Identifier: MIT
--
-- KEYS 1 a hash: who, until (Redis's clock, ms), term   ARGV 1 who  2 ms (0 = steps back)
-- Answer: the term, as text; 0 = somebody else is elected, or nobody

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local held = redis.call('HMGET', KEYS[1], 'who', 'until', 'term')
local is_held = tonumber(held[2] or 0) > now
local is_mine = is_held and held[1] == ARGV[1]
if is_held and not is_mine then
  return '0'
end
if ARGV[2] == '0' then
  if is_mine then
    redis.call('HSET', KEYS[1], 'until', '0')
  end
  return '0'
end
local term = tonumber(held[3] or 0)
if not is_mine then
  term = math.max(term + 1, now)
end
redis.call('HSET', KEYS[1], 'who', ARGV[1], 'until', string.format('%.0f', now + tonumber(ARGV[2])), 'term',
  string.format('%.0f', term))
return string.format('%.0f', term)
