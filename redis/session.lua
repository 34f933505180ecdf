-- session.lua - records of Socket.IO sessions: whose they are, and who takes one over.
-- SPDX-License-Identifier: MIT
--
-- KEYS 1 the record: 16 characters of its owner, then what it says; nothing behind the owner
--        while it is being taken over
-- ARGV 1 keep | claim | drop  2 owner  3 ms to live  4 what it says (keep)
-- Answer of claim {NONE | MINE | OTHERS | TAKEN, what it says}; of keep and drop 1 or 0

local held = redis.call('GET', KEYS[1])
local is_mine = held and string.sub(held, 1, 16) == ARGV[2]
if ARGV[1] == 'keep' then
  if held and not is_mine then
    return 0
  end
  redis.call('SET', KEYS[1], ARGV[2] .. ARGV[4], 'PX', ARGV[3])
  return 1
end
if ARGV[1] == 'drop' then
  return is_mine and redis.call('DEL', KEYS[1]) or 0
end
if not held then
  return {'NONE', ''}
end
if #held <= 16 then
  return {is_mine and 'MINE' or 'TAKEN', ''}
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {is_mine and 'MINE' or 'OTHERS', string.sub(held, 17)}
