-- What every script begins with: the run's row, how it is read and how it is sealed.
--
-- A script runs alone on its server, so what it reads stays true until it ends. It is not rolled back, so every verdict
-- is given before the first write, and no command after the first write can fail: the server judges memory, disk and
-- replicas at the first write of a script only, and each key that is written has been read before, or is written first.
--
-- Numbers are doubles here, exact to 2^53. Instants are microseconds; NONE is no instant, FOREVER every one from the
-- year 2255 on. Tokens, incarnations and ids are strings of bytes and are compared, never counted with.

local NONE, FOREVER = -9007199254740991, 9007199254740991

-- The codes of answers, as in answer.rs.
local OK, NOT_FOUND, REPLAYED, ID_REUSED, FENCED, FINISHED, VERSIONS = 0, 1, 2, 3, 4, 5, 6
local NOT_WAITING, MISSING_BLOB, SNAPSHOT_CURSOR, TRIM, DUPLICATE = 7, 8, 9, 10, 11
local ALREADY_EXISTS, MANIFEST, LEASE_HELD, CORRUPT, RETRY = 12, 13, 14, 15, 16
local NOT_FINISHED, DRIVEN, CONFLICTING, NEWER = 17, 18, 19, 20

-- The keys of a run, as in layout.rs: the first three are all that append.lua needs.
local LOG, DUE_INDEX, COLD, OUTCOME, IDS = 1, 2, 3, 4, 5
local SNAPSHOTS, SNAPSHOT_INDEX, BLOBS, BLOB_INDEX = 6, 7, 8, 9
local MESSAGES, MESSAGE_INDEX, MESSAGE_KEYS, INFO = 10, 11, 12, 13
local ALL, NEWEST_FIRST, UNFINISHED, COMPLETED, FAILED, EXPIRY, MORE = 14, 15, 16, 17, 18, 19, 20

-- The row. What a commit of records leaves alone comes first: format, fence (incarnation 16, epoch 8, token 8), first, swept;
-- state (0 unfinished, 1 completed, 2 and more failed), leased, draft; the wake's message number (-1: none), newest message,
-- bytes of snapshots, blobs and messages; how many snapshots, blobs, waiting messages and record ids there are; the newest two
-- snapshots (-1: none); from when on it may be deleted. Then what it changes: version, cursor, the lease's end, due, lapses,
-- updated, bytes of records, and of all records ever; the newest commit as id, digest and fence, its version (0: none) and
-- cursor.
local ROW = '<Bc32I8I8BBBi8I8I8I8I8I8I8I8I8i8i8i8I8I8i8i8I4i8I8I8c80I8I8'
local SIZE, FIELDS, FORMAT = struct.size(ROW), 30, 1
local FENCE, FIRST, SWEPT, STATE, LEASED, DRAFT, WAKE, NEWEST_MESSAGE = 2, 3, 4, 5, 6, 7, 8, 9
local SNAPSHOT_BYTES, BLOB_BYTES, MESSAGE_BYTES = 10, 11, 12
local SNAPSHOT_COUNT, BLOB_COUNT, MESSAGE_COUNT, ID_COUNT = 13, 14, 15, 16
local NEWEST, SECOND, DELETE_AFTER = 17, 18, 19
local VERSION, CURSOR, UNTIL, DUE, LAPSES, UPDATED = 20, 21, 22, 23, 24, 25
local RECORD_BYTES, ALL_BYTES, LAST, LAST_VERSION, LAST_CURSOR = 26, 27, 28, 29, 30

-- A record or a message as it is stored: its instant, its position and, of a record, the bytes of all records up to it;
-- a digest that binds these to the checksum with which the client's part begins; that part, with the length of the body next.
local STAMP, LENGTH_AT = 40, 17

local call, sub, sha = redis.call, string.sub, redis.sha1hex

local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

-- The row of a run: nothing and a code if there is none, or none that can be trusted.
local function load(key)
  local raw = call('GET', key)
  if not raw then return nil, NOT_FOUND end
  local packed = sub(raw, 1, -41)
  if sha(key .. packed) ~= sub(raw, -40) then return nil, CORRUPT end
  if #packed ~= SIZE or string.byte(packed) ~= FORMAT then return nil, NEWER end
  return { struct.unpack(ROW, packed) }, raw
end

local function save(key, row)
  local packed = struct.pack(ROW, unpack(row, 1, FIELDS))
  packed = packed .. sha(key .. packed)
  call('SET', key, packed)
  return packed
end

local function incarnation(row) return sub(row[FENCE], 1, 16) end

-- Other parts of a run are sealed with the life of the run that they belong to.
local function seal(key, life, body) return body .. sha(key .. life .. body) end

local function unseal(key, life)
  local raw = call('GET', key)
  if not raw or #raw < 40 then return nil end
  local body = sub(raw, 1, -41)
  if sha(key .. life .. body) ~= sub(raw, -40) then return nil end
  return body
end

-- What changes seldom: created, origin (-1: none), the last open's id, version and whether it created the run; the
-- owner's label; the note as the client packs it.
local COLD_ROW = '<i8i8c16I8BI4c0I4c0'
local CREATED, ORIGIN, OPEN_ID, OPEN_VERSION, OPEN_CREATED, OWNER, NOTE = 1, 2, 3, 4, 5, 6, 7

local function load_cold(key, row)
  local body = unseal(key, incarnation(row))
  return body and { struct.unpack(COLD_ROW, body) }
end

local function save_cold(key, row, cold)
  local body = struct.pack(COLD_ROW, cold[CREATED], cold[ORIGIN], cold[OPEN_ID], cold[OPEN_VERSION],
    cold[OPEN_CREATED], #cold[OWNER], cold[OWNER], #cold[NOTE], cold[NOTE])
  call('SET', key, seal(key, incarnation(row), body))
end

-- The run id: what stands behind the tag, the part's letter and a colon.
local function run_of(key) return sub(key, string.find(key, '}', 1, true) + 3) end

-- The place of a run among those of its shard, the newest first; equal ones by their ids.
local function place(created, run) return struct.pack('>I8', FOREVER - created) .. run end

local function later(now, span) return math.min(now + span, FOREVER) end

-- Brings the due of the run, and its place among the due ones of its shard, in line with its state.
local function settle_due(row, before, key, index)
  if row[STATE] ~= 0 or row[DRAFT] == 1 then
    row[DUE] = NONE
  elseif row[LEASED] == 1 then
    row[DUE] = row[UNTIL]
  end
  if row[DUE] == before then return end
  if row[DUE] == NONE then
    call('ZREM', index, run_of(key))
  else
    call('ZADD', index, row[DUE], run_of(key))
  end
end

-- The verdict on a fence that is of this life of the run.
local function check_fence(row, fence)
  if fence ~= row[FENCE] or row[LEASED] == 0 and row[STATE] == 0 then return FENCED end
  if row[STATE] ~= 0 then return FINISHED end
end

-- A refusal with the whole head, all of it as of this verdict, and a number. It takes all keys of the run.
local function refusal(code, k, raw, now, number)
  return { code, raw, call('GET', KEYS[k + COLD]), call('GET', KEYS[k + INFO]), call('GET', KEYS[k + OUTCOME]), now,
    number or 0 }
end

-- Whether a hash and its index have as many entries as the row says.
local function whole(count, hash, index)
  return call('HLEN', hash) == count and (not index or call('ZCARD', index) == count)
end
