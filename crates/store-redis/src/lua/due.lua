-- The runs of a shard whose instant has come. KEYS: an index by instant, an index by id that holds at least the same runs.
-- Few of them are given whole, for the client to sort: strings are compared by the server's locale here. With many, a
-- page of the other index is walked, most of which is due.

local until_, after, before, most = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if redis.call('ZCOUNT', KEYS[1], '-inf', until_) <= 1024 then
  return { 1, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', until_) }
end
return { 0, redis.call('ZRANGEBYLEX', KEYS[2], after, before, 'LIMIT', 0, most) }
