-- Opens a run: creates it, resumes it or takes it over. KEYS: all keys of the run, then the indexes of its name, parent
-- and labels should it be created. Of racing openers the first one's script changes the row, and the next one judges that.

local HEADER = '<c16Bc16c8i8Bc32BBc32i8'
local CREATE, RESUME = 0, 1

local id, mode, life, token, ttl, over, over_fence, reopen, has_manifest, manifest, origin =
  struct.unpack(HEADER, ARGV[2])
local owner, info_body = ARGV[3], ARGV[4]
local key, now = KEYS[1], clock()
local run = run_of(key)

local function at(part) return KEYS[1 + part] end

-- With the whole head, and whether it is the answer to an earlier open of the same id again.
local function answer(code, packed, again)
  return { code, packed, call('GET', at(COLD)), call('GET', at(INFO)), call('GET', at(OUTCOME)), now, again or 0 }
end

local function create()
  if mode == RESUME or info_body == '' then return { NOT_FOUND } end
  -- The shard's index knows the run and its row is gone: it was lost, not deleted.
  if call('ZSCORE', at(ALL), run) then return { CORRUPT } end
  local draft = origin >= 0 and 1 or 0
  local start = math.max(origin, 0)
  local row = { FORMAT, life .. struct.pack('<I8', 1) .. token, start + 1, start + 1, 0, 1, draft, -1, 0, 0, 0, 0, 0, 0, 0,
    0, -1, -1, NONE, 1, start, 0, 0, 0, string.rep('\0', 80), 0, 0, now, later(now, ttl), NONE }
  local cold = { now, origin, id, 1, 1, owner, '' }
  -- What a torn restore or an older life may have left under these keys.
  call('SET', at(INFO), seal(at(INFO), life, info_body))
  for part = RUN, MESSAGE_KEYS do
    if part ~= DUE_INDEX then call('UNLINK', at(part)) end
  end
  save_cold(at(COLD), row, cold)
  call('ZADD', at(ALL), 0, run)
  call('ZADD', at(NEWEST_FIRST), 0, place(now, run))
  call('ZADD', at(UNFINISHED), 0, run)
  for n = 1 + MORE, #KEYS do call('ZADD', KEYS[n], 0, run) end
  settle_due(row, NONE, key, at(DUE_INDEX))
  return answer(OK, save(key, row))
end

-- Why a run that exists may not be opened, if so.
local function refuse(row, stored_manifest)
  if mode == CREATE then return ALREADY_EXISTS end
  if has_manifest == 1 and manifest ~= stored_manifest then return MANIFEST end
  if row[STATE] >= 2 and reopen == 1 then return nil end
  if row[STATE] ~= 0 then return FINISHED end
  if over == 1 and over_fence == row[FENCE] then return nil end
  if row[DUE] ~= NONE and row[DUE] <= now then return nil end
  return LEASE_HELD
end

local row, raw = load(key)
if not row and raw == NOT_FOUND then return create() end
if not row then return { raw } end
local cold, info = load_cold(at(COLD), row), unseal(at(INFO), incarnation(row))
if not cold or not info then return { CORRUPT } end
if cold[OPEN_ID] == id and cold[OPEN_VERSION] == row[VERSION] then return answer(OK, raw, 1) end
local refused = refuse(row, sub(info, 1, 32))
if refused then return answer(refused, raw) end

local before = row[DUE]
if row[STATE] ~= 0 then
  call('ZADD', at(UNFINISHED), 0, run)
  call('ZREM', at(FAILED), run)
  call('ZREM', at(EXPIRY), run)
  call('UNLINK', at(OUTCOME))
  row[STATE], row[DELETE_AFTER], row[LAPSES] = 0, NONE, 0
elseif row[LEASED] == 1 then
  row[LAPSES] = row[LAPSES] + 1
end
local epoch = struct.unpack('<I8', row[FENCE], 17) + 1
row[FENCE] = incarnation(row) .. struct.pack('<I8', epoch) .. token
row[VERSION], row[UPDATED] = row[VERSION] + 1, now
row[LEASED], row[UNTIL], row[WAKE] = 1, later(now, ttl), -1
cold[OPEN_ID], cold[OPEN_VERSION], cold[OPEN_CREATED], cold[OWNER] = id, row[VERSION], 0, owner
save_cold(at(COLD), row, cold)
settle_due(row, before, key, at(DUE_INDEX))
return answer(OK, save(key, row))
