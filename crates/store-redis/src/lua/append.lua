-- Commits of records, and of a lease that stays or is extended, to runs of one server, or of one shard of a cluster: the
-- commits that a driver makes all the time, in straight lines and without what the other scripts share, for that takes
-- longer than the commit. One that is not plainly good is not judged here: its answer is to ask commit.lua (16), and nothing
-- of it has been written.
--
-- ARGV: the clock, then for each commit its header and its records. KEYS: for each commit the first three keys of its run:
-- row, log, and the shard's index of due runs. What the row's fields are stands in common.lua; those of its first 148 bytes
-- stay as they are. The log is written first and the row last: a record past the row's cursor is none, and the next
-- commit overwrites it.

local call, sub, sha, pack, unpack_ = redis.call, string.sub, redis.sha1hex, struct.pack, struct.unpack
local now = ARGV[1]
if now == '' then
  now = call('TIME')
  now = now[1] * 1000000 + now[2]
else
  now = tonumber(now)
end

local answers, k, p = {}, 1, 2
while p <= #ARGV do
  local args, keys, op, expect, count, lease, a, _, advances = unpack_('<I4I4c80I8I4Bi8i8B', ARGV[p])
  local key = KEYS[k]
  local raw = call('GET', key)
  local answer = { 16 }
  if raw and #raw == 344 and sha(key .. sub(raw, 1, 304)) == sub(raw, 305) then
    local format, fence, _, _, state, leased, draft = unpack_('<Bc32I8I8BBB', raw)
    local version, cursor, until_, due, lapses, _, bytes, total, last = unpack_('<I8I8i8i8I4i8I8I8c80', raw, 149)
    if format == 1 and fence == sub(op, 49) and state == 0 and leased == 1 and expect == version
      and sub(last, 1, 16) ~= sub(op, 1, 16) then
      local before, fields = total, {}
      for n = 1, count do
        local part = ARGV[p + n]
        cursor, total = cursor + 1, total + unpack_('<I4', part, 17)
        local stamp = pack('<i8I8I8', now, cursor, total)
        fields[2 * n - 1] = cursor
        fields[2 * n] = stamp .. sub(sha(stamp .. sub(part, 1, 16)), 1, 16) .. part
      end
      for from = 1, 2 * count, 2000 do
        call('HSET', KEYS[k + 1], unpack(fields, from, math.min(from + 1999, 2 * count)))
      end
      if advances == 1 then lapses = 0 end
      if lease == 1 then
        until_ = math.max(until_, math.min(now + a, 9007199254740991))
        if draft == 0 and until_ ~= due then
          due = until_
          call('ZADD', KEYS[k + 2], due, sub(key, string.find(key, '}', 1, true) + 3))
        end
      end
      version, bytes = version + 1, bytes + total - before
      local row = sub(raw, 1, 148)
        .. pack('<I8I8i8i8I4i8I8I8c80I8I8', version, cursor, until_, due, lapses, now, bytes, total, op, version, cursor)
      call('SET', key, row .. sha(key .. row))
      answer = { 0, version, cursor }
    end
  end
  answers[#answers + 1] = answer
  k, p = k + keys, p + args
end
return answers
