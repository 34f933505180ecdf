-- erase.lua - forgets a task, but for a marker: its producer is told ENDED, epochs go on.
-- SPDX-License-Identifier: MIT
--
-- ARGV 9 ms the marker lives
-- Answer {1 = there was something | 0, epoch}

local run = load_run(MORE_FIELDS)
redis.call('DEL', LOG, RUN, SPOKEN.text, SPOKEN.reasoning, LEASE, POINTS)
if not run then
  return {0, 0}
end
if not FINAL[run.state] then
  redis.call('PUBLISH', CTL, string.format('{"type":"stop","epoch":%s}', int(run.epoch)))
end
redis.call('HSET', RUN, 'epoch', int(run.epoch), 'seq', int(run.seq), 'state', 'stopped', 'erased', '1', 'producer',
  run.producer, 'counter', int(run.counter), 'marks', run.marks)
redis.call('PEXPIRE', RUN, ARGV[9])
redis.call('PUBLISH', LIVE, string.format('%s-0 {"type":"erased"}', int(run.epoch)))
return {run.erased == '' and 1 or 0, run.epoch}
