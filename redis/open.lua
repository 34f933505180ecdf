-- open.lua - opens a run, or takes over a queued one.
-- SPDX-License-Identifier: MIT
--
-- ARGV 9 producer  10 state (queued | running)  11 lease ms (0 = none)  12 keeps text (0 | 1)
--      13 request (JSON or empty)  14 epoch of a queued run to take over (0 = open a new one)
--      15 a submission (0 | 1): leaves an open run alone, and begins with the event `queued`
--      16 number of a point to go on from (0 = the end of the text)
-- Answer {status, epoch, state}: OK, or for a take-over FENCED, ENDED, UNKNOWN_RUN; for a
-- submission FENCED, and UNKNOWN_RUN when there is no such point.

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

-- The words before a point. Branch k is the beginning of branch k+1 up to where that left it, and
-- then the end that was kept when it did; the last branch is what stands in the keys. Answers
-- them, the words of now, and how far both are the same for certain.
local function words_before(kept, point, kind)
  local now = redis.call('GET', SPOKEN[kind]) or ''
  local words, same = now, #now
  for branch = kept.branch - 1, point.branch, -1 do
    local from, tail = string.match(redis.call('HGET', POINTS, kind .. ':' .. int(branch)), '^(%d+) (.*)$')
    words = string.sub(words, 1, tonumber(from)) .. tail
    same = math.min(same, tonumber(from))
  end
  words = string.sub(words, 1, point[kind])
  return words, now, math.min(same, #words)
end

-- The text is cut at the point, or becomes again what it was there.
local function go_back(run, kept, point)
  local same = {}
  for _, kind in ipairs({'text', 'reasoning'}) do
    local words, now
    words, now, same[kind] = words_before(kept, point, kind)
    local cut = int(same[kind]) .. ' ' .. string.sub(now, same[kind] + 1)
    redis.call('HSET', POINTS, kind .. ':' .. int(kept.branch), cut)
    kept.bytes = kept.bytes + #cut
    redis.call('DEL', SPOKEN[kind])
    if words ~= '' then
      redis.call('SET', SPOKEN[kind], words)
    end
    run[kind .. '_len'], run[kind .. '_n'] = #words, words ~= '' and 1 or 0
    run[kind .. '_at'] = words ~= '' and run[kind .. '_at'] or ''
  end
  local function stands_before(other, limit)
    return other.text <= limit.text and other.reasoning <= limit.reasoning
  end
  -- What is whole in the new branch does not need the old one.
  local left, back = kept.branch, point.branch
  local limit = {text = point.text, reasoning = point.reasoning}
  kept.branch = left + 1
  for _, other in ipairs(kept.points) do
    if (other.branch == left and stands_before(other, same)) or (other.branch == back and stands_before(other, limit)) then
      other.branch = kept.branch
    end
  end
end

local from, kept, point = tonumber(ARGV[16]), nil, nil
if is_submission and want.keeps_text and old then
  kept = load_points()
  for _, other in ipairs(kept.points) do
    point = other.n == from and other or point
  end
  want.rewrites = point and (point.branch ~= kept.branch or point.text ~= redis.call('STRLEN', SPOKEN.text)
    or point.reasoning ~= redis.call('STRLEN', SPOKEN.reasoning))
end
if from > 0 and not point then
  return {'UNKNOWN_RUN', 0, ''}
end

local run, err = open_run(old, want)
if run and want.rewrites then
  go_back(run, kept, point)
end
if run and kept then
  add_point(run, kept, 'continued', from)
end
if run and is_submission then
  err = append(run, 'queued', string.format('{"type":"queued","task_id":"%s","partial":false,"timestamp":"%s"}', TASK_ID,
    iso(NOW)), '')
end
if err then
  return redis.error_reply(err)
end
settle(run)
return {'OK', run.epoch, run.state}
