-- renew.lua - a producer says that it lives.
-- SPDX-License-Identifier: MIT
--
-- ARGV 9 producer  10 epoch  11 lease ms
-- Answer {status, stop requested (0 | 1)}: OK, FENCED, ENDED, UNKNOWN_RUN

local producer, epoch, lease_ms = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])
local run = load_run()
if not run or run.epoch < epoch then
  return {'UNKNOWN_RUN', 0}
end
if run.epoch > epoch or run.producer ~= producer then
  return {'FENCED', 0}
end
if FINAL[run.state] then
  return {'ENDED', stop_flag(run)}
end
redis.call('SET', LEASE, producer, 'PX', int(lease_ms))
run.lease_ms = lease_ms
settle(run)
return {'OK', stop_flag(run)}
