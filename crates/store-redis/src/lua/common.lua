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

-- The keys of a run, as in layout.rs: the first two are all that append.lua needs.
local RUN, DUE_INDEX, COLD, OUTCOME, IDS = 0, 1, 2, 3, 4
local SNAPSHOTS, SNAPSHOT_INDEX, BLOBS, BLOB_INDEX = 5, 6, 7, 8
local MESSAGES, MESSAGE_INDEX, MESSAGE_KEYS, INFO = 9, 10, 11, 12
local ALL, NEWEST_FIRST, UNFINISHED, COMPLETED, FAILED, EXPIRY, MORE = 13, 14, 15, 16, 17, 18, 19

-- The run's hash has its records, each under its cursor, and its row in two fields, so that a commit is one command.
--
-- `r`, what a commit of records leaves alone: format, fence (incarnation 16, epoch 8, token 8), first, swept; state
-- (0 unfinished, 1 completed, 2 and more failed), leased, draft; the wake's message number (-1: none), newest message, bytes
-- of snapshots, blobs and messages; how many snapshots, blobs, waiting messages and record ids there are; the newest two
-- snapshots (-1: none); from when on it may be deleted.
--
-- `v`: the seal, a digest of the key, of `r` and of what comes next: version, cursor, lapses, bytes of records, and of all
-- records ever; the newest commit as id, digest and fence, its version (0: none) and cursor. Then what only the server
-- knows, updated, the lease's end and due, each also inverted: whatever the seal stands for, a client knows beforehand.
local ROW = '<Bc32I8I8BBBi8I8I8I8I8I8I8I8I8i8i8i8I8I8I4I8I8c80I8I8'
local TIMES = '<i8i8i8i8i8i8'
local REST, SEAL, TIMES_LENGTH = 148, 40, 48
local FIELDS, FORMAT = 27, 1
local FENCE, FIRST, SWEPT, STATE, LEASED, DRAFT, WAKE, NEWEST_MESSAGE = 2, 3, 4, 5, 6, 7, 8, 9
local SNAPSHOT_BYTES, BLOB_BYTES, MESSAGE_BYTES = 10, 11, 12
local SNAPSHOT_COUNT, BLOB_COUNT, MESSAGE_COUNT, ID_COUNT = 13, 14, 15, 16
local NEWEST, SECOND, DELETE_AFTER = 17, 18, 19
local VERSION, CURSOR, LAPSES, RECORD_BYTES, ALL_BYTES = 20, 21, 22, 23, 24
local LAST, LAST_VERSION, LAST_CURSOR = 25, 26, 27
local UPDATED, UNTIL, DUE = 28, 29, 30

-- A record as it is stored: its instant, inverted too; its cursor and the bytes of all records up to it, both inverted
-- too; the client's part, which begins with a checksum and the length of the body. A message: its instant, its number and a
-- zero; a digest that binds these to the run's life and to the checksum of the client's part; that part.
local RECORD_STAMP, MESSAGE_STAMP, LENGTH_AT = 48, 40, 17

local call, sub, sha = redis.call, string.sub, redis.sha1hex

-- What a number is stored beside: its bits inverted, so that a changed bit of either is told.
local function inverted(number) return -1 - number end

local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

-- The row of a run, and as it is stored: nothing and a code if there is none, or none that can be trusted.
local function load(key)
  local stored = call('HMGET', key, 'r', 'v')
  local rest, hot = stored[1], stored[2]
  if not rest and not hot then return nil, NOT_FOUND end
  if not rest or not hot or #hot < SEAL + TIMES_LENGTH then return nil, CORRUPT end
  local packed = rest .. sub(hot, SEAL + 1, -TIMES_LENGTH - 1)
  if sha(key .. packed) ~= sub(hot, 1, SEAL) then return nil, CORRUPT end
  if #packed ~= struct.size(ROW) or string.byte(packed) ~= FORMAT then return nil, NEWER end
  local row = { struct.unpack(ROW, packed) }
  local updated, until_, due, a, b, c = struct.unpack(TIMES, hot, #hot - TIMES_LENGTH + 1)
  if a ~= inverted(updated) or b ~= inverted(until_) or c ~= inverted(due) then return nil, CORRUPT end
  row[UPDATED], row[UNTIL], row[DUE] = updated, until_, due
  return row, rest .. hot
end

-- Stores a row, and gives it as it is stored.
local function save(key, row)
  local packed = struct.pack(ROW, unpack(row, 1, FIELDS))
  local updated, until_, due = row[UPDATED], row[UNTIL], row[DUE]
  local times = struct.pack(TIMES, updated, until_, due, inverted(updated), inverted(until_), inverted(due))
  local rest, hot = sub(packed, 1, REST), sha(key .. packed) .. sub(packed, REST + 1) .. times
  call('HSET', key, 'r', rest, 'v', hot)
  return rest .. hot
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
