-- A blob by its name. KEYS: row, blobs, their index.

local row, raw = load(KEYS[1])
if not row then return { raw } end
if not whole(row[BLOB_COUNT], KEYS[2], KEYS[3]) then return { CORRUPT } end
return { OK, raw, call('HGET', KEYS[2], ARGV[2]) }
