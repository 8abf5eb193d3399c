-- Pages of indexes, of one shard or of many. KEYS: for each shard an index by id; with an instant also an index by
-- instant, of whose runs the first one holds at least all. ARGV: the clock, the instant or nothing, where the ids end, and for
-- each shard after which id and how many.
--
-- Of the runs whose instant has come a few are given whole, for the client to sort: strings are compared by the server's
-- locale here. With many, a page of the index by id is walked, a good part of which is due.
--
-- Most shards have nothing under a rare name: sixteen at a time are asked whether they have the index at all, and those of
-- a group that has none are answered by false.

local instant, before, answer = ARGV[2], ARGV[3], {}
local step = instant == '' and 1 or 2
local GROUP = 16
local empty
for n = 1, #KEYS / step do
  local by_id, by_instant = KEYS[(n - 1) * step + 1], KEYS[n * step]
  if n % GROUP == 1 then
    local last = math.min((n + GROUP - 1) * step, #KEYS)
    empty = redis.call('EXISTS', unpack(KEYS, (n - 1) * step + 1, last)) == 0
  end
  if empty then
    answer[n] = false
  elseif step == 2 and redis.call('ZCOUNT', by_instant, '-inf', instant) <= 256 then
    answer[n] = { 1, redis.call('ZRANGEBYSCORE', by_instant, '-inf', instant) }
  else
    answer[n] = { 0, redis.call('ZRANGEBYLEX', by_id, ARGV[2 + 2 * n], before, 'LIMIT', 0, ARGV[3 + 2 * n]) }
  end
end
return answer
