-- Extends a lease. KEYS: all of the run.

local fence, ttl, has_note = struct.unpack('<c32i8B', ARGV[2])
local key, now = KEYS[1], clock()
local row, raw = load(key)
if not row then return { raw } end
if sub(fence, 1, 16) ~= incarnation(row) then return { NOT_FOUND } end
local refused = check_fence(row, fence)
if refused == FENCED then return { FENCED, raw } end
if refused then return refusal(refused, 1, raw, now) end
local cold
if has_note == 1 then
  cold = load_cold(KEYS[1 + COLD], row)
  if not cold then return { CORRUPT } end
  cold[NOTE] = ARGV[3]
  save_cold(KEYS[1 + COLD], row, cold)
end
local before = row[DUE]
row[UNTIL] = math.max(row[UNTIL], later(now, ttl))
settle_due(row, before, key, KEYS[1 + DUE_INDEX])
return { OK, save(key, row) }
