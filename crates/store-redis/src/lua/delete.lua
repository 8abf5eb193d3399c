-- Removes a run with everything that it has. KEYS: all keys of the run, then the indexes of its name, parent and labels as
-- the client read them; `seen` is the life that it read them of, and another one is read again. Of a damaged run there is
-- nothing to be read, and whatever there is goes.

local ANY, FINISHED_ONLY, WHOEVER = 0, 1, string.rep('\255', 16)
local guard, wanted, seen = struct.unpack('<Bc16c16', ARGV[2])
local key, now = KEYS[1], clock()
local run = run_of(key)

local function at(part) return KEYS[1 + part] end

local function remove(cold)
  for part = COLD, INFO do
    call('UNLINK', at(part))
  end
  call('ZREM', at(DUE_INDEX), run)
  if cold then call('ZREM', at(NEWEST_FIRST), place(cold[CREATED], run)) end
  for n = 1 + ALL, #KEYS do call('ZREM', KEYS[n], run) end
  call('UNLINK', key)
  return { OK, 1 }
end

local row, raw = load(key)
if not row then
  if raw == NOT_FOUND and not call('ZSCORE', at(ALL), run) then return { OK, 0 } end
  if guard == ANY then return remove() end
  return { raw == NOT_FOUND and CORRUPT or raw }
end
if guard ~= ANY then
  if wanted ~= incarnation(row) then return { NOT_FOUND } end
  if guard == FINISHED_ONLY then
    if row[STATE] == 0 then return refusal(NOT_FINISHED, 1, raw, now) end
  elseif row[LEASED] == 1 and row[UNTIL] > now then
    return refusal(DRIVEN, 1, raw, now)
  end
end
if seen ~= incarnation(row) and seen ~= WHOEVER then return { RETRY } end
return remove(load_cold(at(COLD), row))
