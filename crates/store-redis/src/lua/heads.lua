-- Summaries of runs, as of one instant. KEYS: for each run its hash, cold, info, outcome, and its shard's index of all runs.
-- ARGV: the clock, and after how many bytes no further one is given, so that no answer is larger than that and one head.

local answers, size, now = {}, 0, clock()
for k = 1, #KEYS, 5 do
  local stored = call('HMGET', KEYS[k], 'r', 'v')
  if stored[1] and stored[2] then
    local parts = call('MGET', KEYS[k + 1], KEYS[k + 2], KEYS[k + 3])
    for n = 1, 3 do size = size + (parts[n] and #parts[n] or 0) end
    answers[#answers + 1] = { OK, stored[1] .. stored[2], parts[1], parts[2], parts[3], now }
  elseif stored[1] or stored[2] or call('ZSCORE', KEYS[k + 4], run_of(KEYS[k])) then
    answers[#answers + 1] = { CORRUPT }
  else
    answers[#answers + 1] = { NOT_FOUND }
  end
  if size > tonumber(ARGV[2]) then break end
end
return answers
