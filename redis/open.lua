-- open.lua - opens a run, or takes over a queued one.
-- SPDX-License-Identifier: MIT
--
-- ARGV 9 producer  10 state (queued | running)  11 lease ms (0 = none)  12 keeps text (0 | 1)
--      13 request (JSON or empty)  14 epoch of a queued run to take over (0 = open a new one)
--      15 a submission (0 | 1): leaves an open run alone, and begins with the event `queued`
-- Answer {status, epoch, state}: OK, or for a take-over FENCED, ENDED, UNKNOWN_RUN; for a
-- submission FENCED.

local old = load_run()
local want = {producer = ARGV[9], state = ARGV[10], lease_ms = tonumber(ARGV[11]), keeps_text = ARGV[12] == '1',
  request = ARGV[13]}
local claimed = tonumber(ARGV[14])

if claimed > 0 then
  if not old or old.epoch < claimed then
    return {'UNKNOWN_RUN', 0, ''}
  end
  if old.epoch > claimed then
    return {'FENCED', old.epoch, old.state}
  end
  if FINAL[old.state] then
    return {'ENDED', old.epoch, old.state}
  end
  local is_mine = old.producer == want.producer
  if not is_mine and (old.state ~= 'queued' or redis.call('EXISTS', LEASE) == 1) then
    return {'FENCED', old.epoch, old.state}
  end
  if not is_mine then
    old.producer, old.counter, old.marks = want.producer, 1, '1:' .. int(old.seq)
  end
  old.state, old.lease_ms, old.updated_at = want.state, want.lease_ms, NOW
  if old.lease_ms > 0 then
    redis.call('SET', LEASE, old.producer, 'PX', int(old.lease_ms))
  end
  settle(old)
  return {'OK', old.epoch, old.state}
end

local is_submission = ARGV[15] == '1'
if is_submission and old and not FINAL[old.state] then
  return {'FENCED', old.epoch, old.state}
end
local run, err = open_run(old, want)
if run and is_submission then
  err = append(run, 'queued', string.format('{"type":"queued","task_id":"%s","partial":false,"timestamp":"%s"}', TASK_ID,
    iso(NOW)), '')
end
if err then
  return redis.error_reply(err)
end
settle(run)
return {'OK', run.epoch, run.state}
