-- The newest kept snapshot that is not newer than a cursor. KEYS: row, snapshots, their index.

local row, raw = load(KEYS[1])
if not row then return { raw } end
if not whole(row[SNAPSHOT_COUNT], KEYS[2], KEYS[3]) then return { CORRUPT } end
local at = call('ZREVRANGEBYSCORE', KEYS[3], ARGV[2], '-inf', 'LIMIT', 0, 1)[1]
if not at then return { OK, raw } end
local newest = string.format('%.0f', row[NEWEST])
if ARGV[2] == '+inf' and at ~= newest then return { CORRUPT } end
local body = call('HGET', KEYS[2], at)
if not body then return { CORRUPT } end
return { OK, raw, at, body }
