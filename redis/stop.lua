-- stop.lua - records that a run is to stop, then tells its producer.
-- SPDX-License-Identifier: MIT
--
-- ARGV 9 epoch (0 = current)
-- Answer {status, epoch, state}: accepted, no_producer, already_finished, unknown_task, stale_epoch

local epoch = tonumber(ARGV[9])
local run = load_run(MORE_FIELDS)
if not run or run.erased ~= '' then
  return {'unknown_task', 0, ''}
end
if epoch > 0 and run.epoch ~= epoch then
  return {'stale_epoch', run.epoch, ''}
end
if FINAL[run.state] then
  return {'already_finished', run.epoch, run.state}
end

-- Nobody has said a word in a queued run, and nobody is heard of without a lease: ended here
-- and now.
local is_queued = run.state == 'queued'
if is_queued or run.lease_ms == 0 or redis.call('EXISTS', LEASE) == 0 then
  local err = end_with_stop(run)
  if err then
    return redis.error_reply(err)
  end
  settle(run)
  if run.lease_ms > 0 then -- a worker may have claimed it and wait for its first word
    redis.call('PUBLISH', CTL, string.format('{"type":"stop","epoch":%s}', int(run.epoch)))
  end
  return {is_queued and 'accepted' or 'no_producer', run.epoch, run.state}
end

if run.stop_requested ~= run.epoch then
  redis.call('HSET', RUN, 'stop_requested', int(run.epoch), 'stop_at', int(NOW))
end
redis.call('PUBLISH', CTL, string.format('{"type":"stop","epoch":%s}', int(run.epoch)))
return {'accepted', run.epoch, run.state}
