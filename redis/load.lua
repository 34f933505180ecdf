-- load.lua - one picture of a task where Redis is full: it refuses even to queue the reads of
-- a transaction then, but runs a script that writes nothing.
-- SPDX-License-Identifier: MIT
--
-- KEYS 1 log  2 run  3 text  4 reasoning   ARGV 1 how many of the newest entries  2... fields
-- Answer: as EXEC answers store_load()

return {redis.call('HMGET', KEYS[2], unpack(ARGV, 2)), redis.call('GET', KEYS[3]), redis.call('GET', KEYS[4]),
  redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1])}
