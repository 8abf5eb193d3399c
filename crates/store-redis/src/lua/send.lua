-- Puts a message into a run's inbox. KEYS: all of the run. The row holds the number of the newest message and how many
-- wait, so that a release and a send see each other's: whichever script comes second finds what the first has written.

local has_life, life, content = struct.unpack('<Bc16c16', ARGV[2])
local name, part = ARGV[3], ARGV[4]
local key, now = KEYS[1], clock()

local function at(part_of_run) return KEYS[1 + part_of_run] end

local row, raw = load(key)
if not row then return { raw } end
local own = incarnation(row)
if has_life == 1 and life ~= own then return { NOT_FOUND } end
if not whole(row[NEWEST_MESSAGE], at(MESSAGE_KEYS))
  or not whole(row[MESSAGE_COUNT], at(MESSAGES), at(MESSAGE_INDEX)) then
  return { CORRUPT }
end

local known = call('HGET', at(MESSAGE_KEYS), name)
if known then
  local first = sub(known, 1, 24)
  if sub(known, 25) ~= sub(sha(own .. name .. first), 1, 16) then return { CORRUPT } end
  local number = struct.unpack('<I8', first)
  return { sub(first, 9) == content and REPLAYED or CONFLICTING, raw, number }
end
if row[STATE] ~= 0 then return refusal(FINISHED, 1, raw, now) end

local number = row[NEWEST_MESSAGE] + 1
local field, stamp = string.format('%.0f', number), struct.pack('<i8I8I8', now, number, 0)
call('HSET', at(MESSAGES), field, stamp .. sub(sha(own .. stamp .. sub(part, 1, 16)), 1, 16) .. part)
call('ZADD', at(MESSAGE_INDEX), number, field)
local first = struct.pack('<I8', number) .. content
call('HSET', at(MESSAGE_KEYS), name, first .. sub(sha(own .. name .. first), 1, 16))
row[NEWEST_MESSAGE], row[MESSAGE_COUNT] = number, row[MESSAGE_COUNT] + 1
row[MESSAGE_BYTES] = row[MESSAGE_BYTES] + struct.unpack('<I4', part, LENGTH_AT)
local before = row[DUE]
if row[LEASED] == 0 and row[WAKE] >= 0 and number > row[WAKE] then
  row[DUE] = row[DUE] == NONE and now or math.min(row[DUE], now)
end
settle_due(row, before, key, at(DUE_INDEX))
return { OK, save(key, row), number }
