-- lift.lua - appends one event of Frappe's channel, as published, to a lifted run.
-- SPDX-License-Identifier: MIT
--
-- ARGV 9 lifter (the elected broker)  10 term of its election  11 type of the event
--      12 JSON, as published, on one line
-- Answer {status, opened (epoch | 0), epoch, state}: OK, NATIVE, FENCED
--
-- A lifted run belongs to one lifter: another one's first event opens a new run without a
-- terminal event for the old, which is how readers learn that events may be missing. In the
-- log "~" stands before what is opaque.

local lifter, term, kind, json = ARGV[9], tonumber(ARGV[10]), ARGV[11], '~' .. ARGV[12]
local run = load_run({'term', 'erased'})
if run and run.opaque == '' and run.erased == '' then
  return {'NATIVE', 0, run.epoch, run.state}
end
if run and run.term > term then
  return {'FENCED', 0, run.epoch, run.state}
end

local opened, err = 0, nil
local function open_lifted()
  run, err = open_run(run, {producer = lifter, state = 'running', lease_ms = 0, request = '', opaque = '1'})
  if run then
    run.term, opened = term, run.epoch
  end
end

if not run or FINAL[run.state] or run.producer ~= lifter then
  open_lifted()
end
err = err or append(run, kind, json, '')
-- Data was lost: the log knows more than the run hash.
if err and run and opened == 0 and string.find(err, 'equal or smaller', 1, true) then
  err = nil
  open_lifted()
  err = err or append(run, kind, json, '')
end
if err then
  return redis.error_reply(err)
end
settle(run)
return {'OK', opened, run.epoch, run.state}
