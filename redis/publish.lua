-- publish.lua - appends events to a run, once.
-- SPDX-License-Identifier: MIT
--
-- ARGV 9 producer (empty: joins or opens an unleased run)  10 its epoch (0, with counter 1: it
--      has no run yet)
--      11 counter of the first event (from 1)  12 n  then n times: type, json, text
--      json has no "id"; text is the decoded text of a delta of type text or reasoning
-- Answer {status, first epoch, first seq, last epoch, last seq, expected counter,
--         stop requested (0 | 1), opened (epoch | 0), state}
--      OK, FENCED, ENDED, GAP, UNKNOWN_RUN, TOO_LARGE

local producer, epoch, counter, n = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local run = load_run()
local first, last, opened = {0, 0}, {0, 0}, 0

local function answer(status)
  return {status, first[1], first[2], last[1], last[2], run and run.counter or 0, run and stop_flag(run) or 0, opened,
    run and run.state or ''}
end

-- Which seq the event of a counter got. marks is "counter:offset ...", newest first: from
-- that counter on, seq = counter + offset. There is a second mark only when somebody else
-- published into the run, too. Of more than MAX_MARKS changes the oldest are forgotten:
-- then the seq told to a repeat from that long ago may be too large; nothing else depends
-- on it.
local function seq_of(c)
  local seq = c
  for from, offset in string.gmatch(run.marks, '(%d+):(%d+)') do
    seq = c + tonumber(offset)
    if c >= tonumber(from) then
      break
    end
  end
  return seq
end

local function mark()
  local offset = int(run.seq + 1 - run.counter)
  if string.match(run.marks, '^%d+:(%d+)') == offset then
    return
  end
  local marks = {int(run.counter) .. ':' .. offset}
  for old in string.gmatch(run.marks, '%S+') do
    if #marks < MAX_MARKS then
      marks[#marks + 1] = old
    end
  end
  run.marks = table.concat(marks, ' ')
end

-- The first batch of a producer that knows of no run: has it come before, byte for byte?
local function is_repeat()
  local known = run and run.producer == producer and math.min(run.counter - 1, n) or 0
  for i = 1, known do
    local id = int(run.epoch) .. '-' .. int(seq_of(i))
    local entry = redis.call('XRANGE', LOG, id, id)[1]
    if not entry or entry[2][2] ~= ARGV[11 + i * 3] then
      return false
    end
  end
  return known > 0
end

if producer ~= '' and epoch == 0 and counter == 1 then
  if not is_repeat() then
    local err
    run, err = open_run(run, {producer = producer, state = 'running', lease_ms = 0, request = ''})
    if not run then
      return redis.error_reply(err)
    end
    opened = run.epoch
  end
  epoch = run.epoch
end

local from = 1
if producer ~= '' then
  if not run or run.epoch < epoch then
    return answer('UNKNOWN_RUN')
  end
  if run.epoch > epoch or run.producer ~= producer then -- break:fencing
    return answer('FENCED')
  end
  if counter < run.counter then -- break:dedup
    local known = math.min(run.counter, counter + n) - 1
    first, last = {run.epoch, seq_of(counter)}, {run.epoch, seq_of(known)}
    from = run.counter - counter + 1
  end
  if from > n then
    return answer('OK')
  end
  if FINAL[run.state] then
    return answer('ENDED')
  end
  if counter > run.counter then
    return answer('GAP')
  end
  mark()
elseif run and not FINAL[run.state] and run.lease_ms > 0 then
  return answer('FENCED')
end

-- Data was lost: the log knows more than the run hash. A new epoch mends it.
local function is_ahead(err)
  return string.find(err, 'equal or smaller', 1, true)
end

local function open_unleased()
  local err
  run, err = open_run(run, {producer = '', state = 'running', lease_ms = 0, request = ''})
  opened = run and run.epoch or 0
  return err
end

local function append_checked(kind, json, text)
  if is_too_long(run, kind, text) then
    return 'TOO_LARGE', end_with_error(run, 'RUN_TOO_LARGE', 'The run passed the bound on accumulated text.')
  end
  return 'OK', append(run, kind, json, text)
end

local status = 'OK'
local is_changed = false
for i = from, n do
  local kind, json, text = ARGV[10 + i * 3], ARGV[11 + i * 3], ARGV[12 + i * 3]
  local err
  if producer ~= '' and FINAL[run.state] then
    status = 'ENDED'
    break
  end
  if not run or FINAL[run.state] or run.opaque ~= '' then
    if is_changed then
      settle(run)
    end
    err = open_unleased()
  end
  if not err then
    status, err = append_checked(kind, json, text)
  end
  if err and not is_changed and run and is_ahead(err) then
    if producer ~= '' then
      return answer('UNKNOWN_RUN')
    end
    err = open_unleased()
    if not err then
      status, err = append_checked(kind, json, text)
    end
  end
  if err then
    return redis.error_reply(err)
  end
  is_changed = true
  if status == 'TOO_LARGE' then
    break
  end
  if producer ~= '' then
    run.counter = run.counter + 1
  end
  if first[2] == 0 then
    first = {run.epoch, run.seq}
  end
  last = {run.epoch, run.seq}
end

if run.lease_ms > 0 and not FINAL[run.state] then
  redis.call('SET', LEASE, run.producer, 'PX', int(run.lease_ms))
end
settle(run)
return answer(status)
