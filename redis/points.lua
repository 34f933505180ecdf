-- points.lua - the points of a task, and whether there is one.
-- SPDX-License-Identifier: MIT
--
-- KEYS 1 run  2 points
-- Answer {state, erased, list as add_point() of common.lua wrote it}; empty what is not there

local run = redis.call('HMGET', KEYS[1], 'state', 'erased')
return {run[1] or '', run[2] or '', redis.call('HGET', KEYS[2], 'list') or ''}
