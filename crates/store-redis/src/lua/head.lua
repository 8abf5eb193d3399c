-- A run's summary, as of one instant. KEYS: row, cold, info, outcome, and the shard's index of all runs.

local row = redis.call('GET', KEYS[1])
if not row then
  return { redis.call('ZSCORE', KEYS[5], run_of(KEYS[1])) and CORRUPT or NOT_FOUND }
end
return { OK, row, call('GET', KEYS[2]), call('GET', KEYS[3]), call('GET', KEYS[4]), clock() }
