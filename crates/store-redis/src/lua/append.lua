-- Commits of up to a thousand records, and of a lease that stays or is extended, to runs of one server, or of one shard of a cluster: the
-- commits that a driver makes all the time, in straight lines and without what the other scripts share, for that takes
-- longer than the commit.
--
-- The client knows the row, and has judged the commit by it and sealed the row that it leads to. So whether the stored row is
-- still that one is all that is asked here: its seal is a digest of everything but the three instants that only the server
-- knows, and who changes anything else changes the seal. What the commit leaves alone is compared as it is, so that no
-- damage to it goes unnoticed; what the seal covers beside that is replaced by what the client knows. If the row is
-- another one, or damaged, nothing is written, and the answer is to ask commit.lua (0).
--
-- ARGV: the clock, then for each commit its header, the row's `r` and its seal, what `v` is to begin with, and its records
-- from their cursors on. KEYS: for each commit its run, and the shard's index of due runs if it extends the lease. What stands
-- where is told in common.lua.

local call, sub, pack, unpack_ = redis.call, string.sub, struct.pack, struct.unpack
local now = ARGV[1]
if now == '' then
  now = call('TIME')
  now = now[1] * 1000000 + now[2]
else
  now = tonumber(now)
end
local stamp = pack('<i8i8', now, -1 - now)

local answers, k, p = {}, 1, 2
while p <= #ARGV do
  local keys, count, cursor, extends, ttl = unpack_('<BI4i8Bi8', ARGV[p])
  local key, done = KEYS[k], 0
  local stored = call('HMGET', key, 'r', 'v')
  local hot = stored[2]
  if stored[1] == ARGV[p + 1] and hot and #hot == 220 and sub(hot, 1, 40) == ARGV[p + 2] then
    local until_, due, a, b = unpack_('<i8i8xxxxxxxxi8i8', hot, 181)
    if a == -1 - until_ and b == -1 - due then
      if extends > 0 then
        until_ = math.max(until_, math.min(now + ttl, 9007199254740991))
        -- A draft is never due.
        if extends == 1 and until_ ~= due then
          due = until_
          call('ZADD', KEYS[k + 1], due, sub(key, string.find(key, '}', 1, true) + 3))
        end
      end
      local times = pack('<i8i8i8i8i8i8', now, until_, due, -1 - now, -1 - until_, -1 - due)
      if count == 1 then
        call('HSET', key, 'v', ARGV[p + 3] .. times, cursor + 1, stamp .. ARGV[p + 4])
      else
        local fields = { 'v', ARGV[p + 3] .. times }
        for n = 1, count do
          fields[2 * n + 1] = cursor + n
          fields[2 * n + 2] = stamp .. ARGV[p + 3 + n]
        end
        call('HSET', key, unpack(fields))
      end
      done = 1
    end
  end
  answers[#answers + 1] = done
  k, p = k + keys, p + 4 + count
end
return answers
