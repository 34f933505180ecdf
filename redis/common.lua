-- common.lua - what all scripts of a task share; put before each of them at build time.
-- SPDX-License-Identifier: MIT
--
-- KEYS 1 log  2 run  3 text  4 reasoning  5 lease  6 points, all of one task (one hash slot)
-- ARGV 1 live channel  2 ctl channel  3 task_id
--      4 log entries  5 log bytes  6 text bytes (each kind) that are kept
--      7 ms all keys live after the run ended  8 ms they live after its last event
--      9... the script's own
--
-- The run hash: epoch, seq (of the last event), state, producer, counter (the next one
-- expected), marks (see seq_of), lease_ms, started_at, updated_at, finished_at, request,
-- keeps_text, stop_requested (an epoch), stop_at, bytes (of the log), expires_at,
-- text_started_at, erased, opaque (lifted: events as Frappe's channel brought them) and the
-- term of its lifter; and for both texts: _seq (reaches up to), _first (seq in this
-- run), _n (deltas), _len (bytes), _at (first timestamp). Zero and empty are not written.
--
-- The points hash (of a task that has a request): `list`, JSON of see add_point(), and for each
-- time somebody went back the ends that were cut off then, see open.lua.
--
-- Speed counts here, since Redis runs nothing else meanwhile: a script loads the fields it
-- needs and writes those that changed.

local LOG, RUN, LEASE, POINTS = KEYS[1], KEYS[2], KEYS[5], KEYS[6]
local SPOKEN = {text = KEYS[3], reasoning = KEYS[4]}
local LIVE, CTL, TASK_ID = ARGV[1], ARGV[2], ARGV[3]
local KEEP_EVENTS, KEEP_BYTES, KEEP_TEXT = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local KEEP_FINISHED_MS, KEEP_RUNNING_MS = tonumber(ARGV[7]), tonumber(ARGV[8])
local STATE_AFTER = {queued = 'queued', completion = 'completed', error = 'error', stopped = 'stopped'}
local FINAL = {completed = true, error = true, stopped = true}
local MAX_MARKS, MAX_POINTS = 64, 64

local time = redis.call('TIME')
local NOW = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- Lua would write large numbers with an exponent.
local function int(n)
  return string.format('%.0f', n)
end

local function iso(ms)
  local days = math.floor(ms / 86400000)
  local rest = ms - days * 86400000
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day, math.floor(rest / 3600000),
    math.floor(rest / 60000) % 60, math.floor(rest / 1000) % 60, rest % 1000)
end

local FIELDS = {'epoch', 'seq', 'state', 'producer', 'counter', 'lease_ms', 'stop_requested', 'bytes', 'expires_at', 'marks',
  'text_started_at', 'opaque'}
local MORE_FIELDS = {'started_at', 'updated_at', 'stop_at', 'erased'}
local SPOKEN_FIELDS = {
  text = {'text_first', 'text_n', 'text_len', 'text_at'},
  reasoning = {'reasoning_first', 'reasoning_n', 'reasoning_len', 'reasoning_at'}
}
local IS_TEXT = {state = true, producer = true, marks = true, erased = true, opaque = true, text_at = true, reasoning_at = true}

local function load_fields(run, names)
  local values = redis.call('HMGET', RUN, unpack(names))
  for i = 1, #names do
    local name, value = names[i], values[i]
    if IS_TEXT[name] then
      run[name] = value or ''
    else
      run[name] = tonumber(value or 0)
    end
    run.was[name] = run[name]
  end
end

-- The run, or nil when there is none.
local function load_run(more)
  local run = {was = {}}
  load_fields(run, FIELDS)
  if run.epoch == 0 then
    return nil
  end
  if more then
    load_fields(run, more)
  end
  return run
end

local function save_run(run)
  local was, args, n = run.was, {'HSET', RUN}, 2
  for name, value in pairs(run) do
    local before = was[name]
    if value ~= before and name ~= 'was' and name ~= 'is_new_key' and (before ~= nil or value ~= 0 and value ~= '') then
      args[n + 1] = name
      args[n + 2] = type(value) == 'number' and int(value) or value
      n = n + 2
      was[name] = value
    end
  end
  if n > 2 then
    redis.call(unpack(args))
  end
end

-- All keys of a task expire together.
local function expire_at(run, at)
  run.expires_at = at
  for _, key in ipairs({LOG, RUN, SPOKEN.text, SPOKEN.reasoning, POINTS}) do
    redis.call('PEXPIREAT', key, int(at))
  end
end

-- Saves and sets the common expiry. Of a running task it is moved on only now and then, or
-- when a key is new.
local function settle(run)
  if run.bytes > KEEP_BYTES then
    local len = redis.call('XLEN', LOG)
    local keep = math.max(1, math.floor(len * KEEP_BYTES / run.bytes * 0.75))
    redis.call('XTRIM', LOG, 'MAXLEN', int(keep))
    run.bytes = math.floor(run.bytes * keep / len)
  end
  local at = NOW + (FINAL[run.state] and KEEP_FINISHED_MS or KEEP_RUNNING_MS)
  local is_due = FINAL[run.state] or run.is_new_key or at - run.expires_at > KEEP_RUNNING_MS / 16
  if is_due then
    run.expires_at = at
  end
  save_run(run)
  if is_due then
    expire_at(run, at)
  end
end

-- A point is where a run ended, or where a continue began: `branch` and the bytes of both texts
-- there say which words stand before it. Going back begins another branch and keeps the end that
-- was cut off, so all points stay within reach; the oldest go when there are too many.
local function load_points()
  local kept = redis.call('HGET', POINTS, 'list')
  return kept and cjson.decode(kept) or {next = 1, branch = 1, oldest = 1, bytes = 0, points = {}}
end

local function drop_cut(kept)
  for _, kind in ipairs({'text', 'reasoning'}) do
    local cut = kind .. ':' .. int(kept.oldest)
    kept.bytes = kept.bytes - redis.call('HSTRLEN', POINTS, cut)
    redis.call('HDEL', POINTS, cut)
  end
  kept.oldest = kept.oldest + 1
end

local function save_points(kept)
  while #kept.points > MAX_POINTS do
    table.remove(kept.points, 1)
  end
  local needed = kept.branch
  for _, point in ipairs(kept.points) do
    needed = math.min(needed, point.branch)
  end
  while kept.oldest < kept.branch and (kept.oldest < needed or kept.bytes > KEEP_TEXT) do
    drop_cut(kept)
  end
  for i = #kept.points, 1, -1 do
    if kept.points[i].branch < kept.oldest then
      table.remove(kept.points, i)
    end
  end
  redis.call('HSET', POINTS, 'list', cjson.encode(kept))
end

local function add_point(run, kept, kind, from)
  local text = redis.call('GET', SPOKEN.text) or ''
  local _, length = string.gsub(text, '[^\128-\191]', '')
  kept.points[#kept.points + 1] = {n = kept.next, kind = kind, epoch = int(run.epoch), at = NOW, length = length,
    text = #text, reasoning = redis.call('STRLEN', SPOKEN.reasoning), branch = kept.branch, from = from}
  kept.next = kept.next + 1
  save_points(kept)
end

-- Appends one event that has passed all checks. Every other write of a script comes after
-- its first XADD, which is the one that can fail (a log that is ahead of its run hash).
local function append(run, kind, json, text)
  local id = int(run.epoch) .. '-' .. int(run.seq + 1)
  local added = redis.pcall('XADD', LOG, 'MAXLEN', '~', KEEP_EVENTS, id, 'e', json)
  if type(added) == 'table' and added.err then
    return added.err
  end
  run.seq = run.seq + 1
  run.is_new_key = run.is_new_key or run.seq == 1
  run.bytes = run.bytes + #json
  run.updated_at = NOW
  run.state = STATE_AFTER[kind] or 'running'
  if kind == 'text' and run.text_started_at == 0 then
    run.text_started_at = NOW
  end
  if text ~= '' then
    local seq, first, count, len, at = kind .. '_seq', kind .. '_first', kind .. '_n', kind .. '_len', kind .. '_at'
    redis.call('APPEND', SPOKEN[kind], text)
    run.is_new_key = run.is_new_key or run[len] == 0
    run[seq] = run.seq
    run[count] = run[count] + 1
    run[len] = run[len] + #text
    if run[first] == 0 then
      run[first] = run.seq
    end
    if run[at] == '' then
      local good, event = pcall(cjson.decode, json)
      run[at] = good and type(event.timestamp) == 'string' and event.timestamp or iso(NOW)
    end
  end
  if FINAL[run.state] then
    run.finished_at = NOW
    redis.call('DEL', LEASE)
    if redis.call('HEXISTS', RUN, 'request') == 1 then
      add_point(run, load_points(), run.state, 0)
    end
  end
  redis.call('PUBLISH', LIVE, id .. ' ' .. json)
  return nil
end

-- Asked before a delta is appended: also loads what append() needs of its text.
local function is_too_long(run, kind, text)
  if text == '' then
    return false
  end
  if not run[kind .. '_len'] then
    load_fields(run, SPOKEN_FIELDS[kind])
  end
  return run[kind .. '_len'] + #text > KEEP_TEXT
end

local function end_with_error(run, code, message)
  return append(run, 'error', string.format('{"type":"error","task_id":"%s","code":%s,"message":%s,"partial":false,"timestamp":"%s"}',
    TASK_ID, cjson.encode(code), cjson.encode(message), iso(NOW)), '')
end

-- Tells the length so far, in code points: every byte that continues none.
local function end_with_stop(run)
  local _, length = string.gsub(redis.call('GET', SPOKEN.text) or '', '[^\128-\191]', '')
  return append(run, 'stopped', string.format('{"type":"stopped","task_id":"%s","length":%d,"partial":false,"timestamp":"%s"}',
    TASK_ID, length, iso(NOW)), '')
end

local function last_epoch_of_log()
  local info = redis.pcall('XINFO', 'STREAM', LOG)
  for i = 1, info.err and 0 or #info, 2 do
    if info[i] == 'last-generated-id' then
      return tonumber(string.match(info[i + 1], '^%d+'))
    end
  end
  return 0
end

-- Begins a new run, after ending an open earlier one. Answers run, error.
local function open_run(old, want)
  -- Asked first of all: once a script has written, Redis lets it write on past maxmemory.
  local refused = redis.pcall('HSET', RUN, 'epoch', int(old and old.epoch or 0))
  if type(refused) == 'table' and refused.err then
    return nil, refused.err
  end
  -- A producer that got no answer opens again, or finds after a failover that Redis has lost
  -- a part of its run: what is left of that just goes. Readers are told by the new epoch.
  local is_again = old and want.producer ~= '' and old.producer == want.producer
  -- A lifted run that another lifter takes over just goes, too: none of its words are ours.
  is_again = is_again or old and want.opaque and old.opaque ~= ''
  if old and not FINAL[old.state] and not is_again then
    local err = end_with_error(old, 'SUPERSEDED', 'A newer run of this task was opened.')
    -- A log ahead of its hash cannot be ended, and need not be: the new epoch is beyond it.
    if err and not string.find(err, 'equal or smaller', 1, true) then
      return nil, err
    end
  end
  local run = {was = {}, seq = 0, stop_requested = 0, expires_at = 0, text_started_at = 0, opaque = want.opaque or ''}
  for _, kind in ipairs({'text', 'reasoning'}) do
    if want.keeps_text and old then
      load_fields(run, SPOKEN_FIELDS[kind])
      run[kind .. '_first'] = 0
    else
      run[kind .. '_first'], run[kind .. '_n'], run[kind .. '_len'], run[kind .. '_at'] = 0, 0, 0, ''
    end
  end
  run.was = {}
  run.epoch = math.max(NOW, last_epoch_of_log() + 1, old and old.epoch + 1 or 0)
  run.state, run.producer, run.lease_ms = want.state, want.producer, want.lease_ms
  run.started_at, run.updated_at, run.counter, run.marks = NOW, NOW, 1, '1:0'
  run.bytes = old and old.bytes or 0
  run.is_new_key = true
  local request = want.request
  if want.keeps_text and old then
    run.keeps_text = '1'
    if request == '' then
      request = redis.call('HGET', RUN, 'request') or ''
    end
  else
    redis.call('DEL', SPOKEN.text, SPOKEN.reasoning, POINTS)
  end
  redis.call('DEL', RUN)
  if request ~= '' then
    redis.call('HSET', RUN, 'request', request)
  end
  if run.lease_ms > 0 then
    redis.call('SET', LEASE, run.producer, 'PX', int(run.lease_ms))
  else
    redis.call('DEL', LEASE)
  end
  redis.call('PUBLISH', LIVE, string.format('%s-0 {"type":"opened","state":"%s","started_at":%s,"keeps_text":%s%s%s}',
    int(run.epoch), run.state, int(NOW), tostring(run.keeps_text == '1'), want.rewrites and ',"rewritten":true' or '',
    run.opaque ~= '' and ',"opaque":true' or ''))
  return run, nil
end

local function stop_flag(run)
  return run.stop_requested == run.epoch and 1 or 0
end
