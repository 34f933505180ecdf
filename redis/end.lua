-- end.lua - ends a run if a condition holds.
-- SPDX-License-Identifier: MIT
--
-- ARGV 9 condition (any | lease-absent | queued | stop-grace | idle)  10 epoch (0 = current)
--      11 min age ms (of queued, stop-grace, idle)  12 type (error | stopped)
--      13 code and 14 message of an error  15 not after (ms of Redis's clock; 0 = whenever)
-- Answer {status, epoch, seq}: ENDED_NOW, ENDED, HELD, STALE, UNKNOWN_RUN

local condition, epoch, min_age = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])
local run = load_run(MORE_FIELDS)
if not run or run.erased ~= '' then
  return {'UNKNOWN_RUN', 0, 0}
end
if epoch > 0 and run.epoch ~= epoch then
  return {'STALE', run.epoch, run.seq}
end
if FINAL[run.state] then
  return {'ENDED', run.epoch, run.seq}
end

-- A queued run that a worker has claimed is that worker's only while its lease lives: then
-- nobody has to wait for it, and without the lease its job comes to another.
local is_queued = run.state == 'queued'
local has_lease = run.lease_ms > 0 and redis.call('EXISTS', LEASE) == 1
local holds = {
  ['any'] = true,
  ['lease-absent'] = run.lease_ms > 0 and not is_queued and not has_lease,
  ['queued'] = is_queued and not has_lease and NOW - run.started_at >= min_age,
  ['stop-grace'] = run.stop_requested == run.epoch and NOW - run.stop_at >= min_age,
  ['idle'] = run.lease_ms == 0 and NOW - run.updated_at >= min_age
}
-- Judged too long ago: Redis may have been silent since, and nobody could renew a lease.
local deadline = tonumber(ARGV[15])
local is_late = deadline > 0 and NOW > deadline
if is_late or not holds[condition] then
  return {'HELD', run.epoch, run.seq}
end

local err
if ARGV[12] == 'stopped' then
  err = end_with_stop(run)
else
  err = end_with_error(run, ARGV[13], ARGV[14])
end
if err then
  return redis.error_reply(err)
end
settle(run)
return {'ENDED_NOW', run.epoch, run.seq}
