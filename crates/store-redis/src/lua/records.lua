-- A page of records. KEYS: the run. A page ends once its records have so many bytes, so that no reply is larger than
-- that and one record.

local row, raw = load(KEYS[1])
if not row then return { raw } end
local after, until_, most, reverse, bytes =
  tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1', tonumber(ARGV[6])
local low, high = math.max(after + 1, row[FIRST]), math.min(until_, row[CURSOR])
local from, to, step = low, math.min(high, low + most - 1), 1
if reverse then
  from, to, step = high, math.max(low, high - most + 1), -1
end
local answer, fields, size = { OK, raw }, {}, 0
for cursor = from, to, step do
  local field = string.format('%.0f', cursor)
  size = size + call('HSTRLEN', KEYS[1], field)
  if size > bytes and #fields > 0 then break end
  fields[#fields + 1] = field
end
for start = 1, #fields, 1000 do
  local page = call('HMGET', KEYS[1], unpack(fields, start, math.min(start + 999, #fields)))
  for _, record in ipairs(page) do answer[#answer + 1] = record end
end
return answer
