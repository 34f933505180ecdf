-- unindex.lua - a run has ended: takes its task out of the set of open runs, unless a newer
-- run of it stands there by now.
-- SPDX-License-Identifier: MIT
--
-- KEYS 1 the set   ARGV 1 member  2 epoch of the ended run

local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) <= tonumber(ARGV[2]) then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
