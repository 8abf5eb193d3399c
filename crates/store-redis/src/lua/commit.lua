-- Commits to runs of one server, or of one shard of a cluster, one after another, each with its own verdict: every commit
-- with the row that it leaves, and every refusal with the head that it is of. ARGV: the clock, then for each commit its header, the header of the further
-- parts if it has any, and the parts. KEYS: for each commit all keys of its run.

local HEADER = '<I4I4c80I8I4Bi8i8BB'
local FURTHER = '<I4I4I4I4I4I4Bi8i8BBi8'

-- The further parts of a commit, and where each of them begins among the arguments.
local function further(p, count)
  local f = {}
  f.ids, f.twice, f.names, f.blobs, f.drops, f.takes, f.has_snapshot, f.at, f.trim, f.has_note, f.state, f.keep =
    struct.unpack(FURTHER, ARGV[p + 1])
  f.id = p + 1 + count
  f.name = f.id + 2 * f.ids
  f.blob = f.name + f.names
  f.drop = f.blob + 2 * f.blobs
  f.take = f.drop + f.drops
  f.snapshot = f.take + f.takes + 1
  f.note = f.snapshot + f.has_snapshot
  f.outcome = f.note + f.has_note
  return f
end

local function bind_id(life, id, cursor) return sub(sha(life .. id .. cursor), 1, 16) end

-- The newest two of the kept snapshots with one more.
local function newest_two(row, at)
  local newest, second = row[NEWEST], row[SECOND]
  if at > newest then return at, newest end
  if at < newest and at > second then return newest, at end
  return newest, second
end

-- Everything that is touched is there in full.
local function sound(k, row, f)
  return (f.ids == 0 or whole(row[ID_COUNT], KEYS[k + IDS]))
    and (f.takes == 0 or whole(row[MESSAGE_COUNT], KEYS[k + MESSAGES], KEYS[k + MESSAGE_INDEX]))
    and (f.names + f.blobs + f.drops == 0 or whole(row[BLOB_COUNT], KEYS[k + BLOBS], KEYS[k + BLOB_INDEX]))
    and (f.has_snapshot == 0 and f.trim < 0
      or whole(row[SNAPSHOT_COUNT], KEYS[k + SNAPSHOTS], KEYS[k + SNAPSHOT_INDEX]))
end

-- The verdict on the further parts, and what the writing needs.
local function judge(k, row, f, count)
  if not sound(k, row, f) then return { CORRUPT } end
  for n = 1, f.takes do
    if not call('ZSCORE', KEYS[k + MESSAGE_INDEX], ARGV[f.take + n]) then return { NOT_WAITING, n } end
  end
  for n = 1, f.names do
    local name = ARGV[f.name + n]
    local dropped = sub(name, 33) ~= ''
    if dropped or call('HEXISTS', KEYS[k + BLOBS], name) == 0 then return { MISSING_BLOB, n } end
  end
  if f.has_snapshot == 1 and f.at > row[CURSOR] + count then return { SNAPSHOT_CURSOR } end
  f.kept = f.has_snapshot == 1 and f.at + 1 >= row[FIRST]
  if f.trim >= 0 then
    local _, second = newest_two(row, f.kept and f.at or -1)
    second = math.max(second, 0)
    if f.trim > second then return { TRIM, second } end
  end
  for n = 1, f.ids do
    local id = ARGV[f.id + 2 * n - 1]
    local stored = call('HGET', KEYS[k + IDS], id)
    if stored then
      local cursor = sub(stored, 1, 8)
      if sub(stored, 9) ~= bind_id(incarnation(row), id, cursor) then return { CORRUPT } end
      return { DUPLICATE, (struct.unpack('<I8', cursor)) }
    end
  end
  if f.twice > 0 then return { DUPLICATE, row[CURSOR] + f.twice } end
  if f.trim >= row[FIRST] then
    local record = call('HGET', KEYS[k + RUN], string.format('%.0f', f.trim))
    if not record then return { CORRUPT } end
    f.trimmed = struct.unpack('<I8', record, 25)
  end
  if f.has_note == 1 or row[DRAFT] == 1 and f.kept then
    f.cold = load_cold(KEYS[k + COLD], row)
    if not f.cold then return { CORRUPT } end
  end
end

local function write_records(k, row, p, count, now)
  local cursor, total, fields = row[CURSOR], row[ALL_BYTES], {}
  for n = 1, count do
    local part = ARGV[p + n]
    cursor, total = cursor + 1, total + struct.unpack('<I4', part, LENGTH_AT)
    fields[#fields + 1] = cursor
    fields[#fields + 1] = struct.pack('<i8i8i8i8i8i8', now, inverted(now), cursor, total, inverted(cursor), inverted(total))
      .. part
    if #fields == 2000 or n == count then
      call('HSET', KEYS[k + RUN], unpack(fields))
      fields = {}
    end
  end
  row[RECORD_BYTES] = row[RECORD_BYTES] + total - row[ALL_BYTES]
  row[CURSOR], row[ALL_BYTES] = cursor, total
end

local function write_blobs(k, row, f)
  local blobs, index = KEYS[k + BLOBS], KEYS[k + BLOB_INDEX]
  for n = 1, f.blobs do
    local name, value = ARGV[f.blob + 2 * n - 1], ARGV[f.blob + 2 * n]
    if call('HSETNX', blobs, name, value) == 1 then
      call('ZADD', index, 0, name)
      row[BLOB_COUNT], row[BLOB_BYTES] = row[BLOB_COUNT] + 1, row[BLOB_BYTES] + #value - 16
    end
  end
  for n = 1, f.drops do
    local name = ARGV[f.drop + n]
    local length = call('HSTRLEN', blobs, name)
    if length > 0 then
      call('HDEL', blobs, name)
      call('ZREM', index, name)
      row[BLOB_COUNT], row[BLOB_BYTES] = row[BLOB_COUNT] - 1, row[BLOB_BYTES] - length + 16
    end
  end
end

local function write_takes(k, row, f)
  for n = 1, f.takes do
    local number = ARGV[f.take + n]
    local message = call('HGET', KEYS[k + MESSAGES], number)
    call('HDEL', KEYS[k + MESSAGES], number)
    call('ZREM', KEYS[k + MESSAGE_INDEX], number)
    row[MESSAGE_COUNT] = row[MESSAGE_COUNT] - 1
    row[MESSAGE_BYTES] = row[MESSAGE_BYTES] - struct.unpack('<I4', message, MESSAGE_STAMP + LENGTH_AT)
  end
end

local function write_snapshot(k, row, f)
  local snapshots, index = KEYS[k + SNAPSHOTS], KEYS[k + SNAPSHOT_INDEX]
  local at, value = string.format('%.0f', f.at), ARGV[f.snapshot]
  local replaced = call('HSTRLEN', snapshots, at)
  call('HSET', snapshots, at, value)
  if replaced == 0 then
    call('ZADD', index, at, at)
    row[SNAPSHOT_COUNT], replaced = row[SNAPSHOT_COUNT] + 1, 16
  end
  row[SNAPSHOT_BYTES] = row[SNAPSHOT_BYTES] + #value - replaced
  row[NEWEST], row[SECOND] = newest_two(row, f.at)
  if f.cold and f.cold[ORIGIN] == f.at then row[DRAFT] = 0 end
end

local function write_trim(k, row, f)
  local snapshots, index = KEYS[k + SNAPSHOTS], KEYS[k + SNAPSHOT_INDEX]
  local through = '(' .. string.format('%.0f', f.trim)
  for _, at in ipairs(call('ZRANGEBYSCORE', index, '-inf', through)) do
    row[SNAPSHOT_BYTES] = row[SNAPSHOT_BYTES] - call('HSTRLEN', snapshots, at) + 16
    row[SNAPSHOT_COUNT] = row[SNAPSHOT_COUNT] - 1
    call('HDEL', snapshots, at)
  end
  call('ZREMRANGEBYSCORE', index, '-inf', through)
  if f.trimmed then
    row[RECORD_BYTES] = row[ALL_BYTES] - f.trimmed
    row[FIRST] = f.trim + 1
  end
end

-- Trimmed records are out of sight at once and go a thousand a commit, so that none of them takes long.
local function sweep(k, row)
  local fields, through = {}, math.min(row[FIRST], row[SWEPT] + 1000) - 1
  for cursor = row[SWEPT], through do fields[#fields + 1] = cursor end
  call('HDEL', KEYS[k + RUN], unpack(fields))
  row[SWEPT] = through + 1
end

local function write_finish(k, row, f, now)
  local run = run_of(KEYS[k])
  call('SET', KEYS[k + OUTCOME], ARGV[f.outcome])
  call('ZREM', KEYS[k + UNFINISHED], run)
  call('ZADD', KEYS[k + (f.state == 1 and COMPLETED or FAILED)], 0, run)
  row[STATE], row[LEASED] = f.state, 0
  if f.keep >= 0 then
    row[DELETE_AFTER] = later(now, f.keep)
    call('ZADD', KEYS[k + EXPIRY], row[DELETE_AFTER], run)
  end
end

local function write_further(k, row, f, now)
  write_blobs(k, row, f)
  write_takes(k, row, f)
  if f.kept then write_snapshot(k, row, f) end
  if f.trim >= 0 then write_trim(k, row, f) end
  if f.has_note == 1 then
    f.cold[NOTE] = ARGV[f.note]
    save_cold(KEYS[k + COLD], row, f.cold)
  end
  if f.state > 0 then write_finish(k, row, f, now) end
end

local function write_lease(row, kind, a, b, now)
  if kind == 1 then
    row[UNTIL] = math.max(row[UNTIL], later(now, a))
  elseif kind == 2 then
    row[LEASED], row[WAKE] = 0, b
    if b >= 0 and row[NEWEST_MESSAGE] > b then
      row[DUE] = now
    else
      row[DUE] = a == NONE and NONE or math.max(a, now)
    end
  end
end

-- One commit: its verdict first, then its writes. The row is written last: what stands before it is either
-- overwritten by the next commit or told by the row's counts.
local function commit(k, p, now)
  local _, _, op, expect, count, lease, a, b, advances, has_further = struct.unpack(HEADER, ARGV[p])
  local row, raw = load(KEYS[k])
  if not row then return { raw } end
  local fence, last = sub(op, 49), row[LAST]
  if sub(fence, 1, 16) ~= incarnation(row) then return { NOT_FOUND } end
  if row[LAST_VERSION] > 0 then
    if last == op then return { REPLAYED, row[LAST_VERSION], row[LAST_CURSOR] } end
    if sub(last, 1, 16) == sub(op, 1, 16) and sub(last, 17, 48) ~= sub(op, 17, 48) then return { ID_REUSED } end
  end
  local verdict = check_fence(row, fence) or expect ~= row[VERSION] and VERSIONS
  if verdict == FENCED then return { FENCED, raw } end
  if verdict then return refusal(verdict, k, raw, now) end
  local f = has_further == 1 and further(p, count)
  local refused = f and judge(k, row, f, count)
  if refused then return refusal(refused[1], k, raw, now, refused[2]) end

  local before, cursor = row[DUE], row[CURSOR]
  if count > 0 then write_records(k, row, p + has_further, count, now) end
  if f then
    for n = 1, f.ids do
      local id, at = ARGV[f.id + 2 * n - 1], struct.pack('<I8', cursor + ARGV[f.id + 2 * n])
      call('HSET', KEYS[k + IDS], id, at .. bind_id(incarnation(row), id, at))
    end
    row[ID_COUNT] = row[ID_COUNT] + f.ids
    write_further(k, row, f, now)
  end
  if row[SWEPT] < row[FIRST] then sweep(k, row) end
  if advances == 1 then row[LAPSES] = 0 end
  write_lease(row, lease, a, b, now)
  settle_due(row, before, KEYS[k], KEYS[k + DUE_INDEX])
  row[VERSION], row[UPDATED] = row[VERSION] + 1, now
  row[LAST], row[LAST_VERSION], row[LAST_CURSOR] = op, row[VERSION], row[CURSOR]
  return { OK, row[VERSION], row[CURSOR], save(KEYS[k], row) }
end

local answers, now, k, p = {}, clock(), 1, 2
while p <= #ARGV do
  local args, keys = struct.unpack('<I4I4', ARGV[p])
  answers[#answers + 1] = commit(k, p, now)
  k, p = k + keys, p + args
end
return answers
