-- A page of blobs' names and sizes, by name. KEYS: row, blobs, their index.

local row, raw = load(KEYS[1])
if not row then return { raw } end
if not whole(row[BLOB_COUNT], KEYS[2], KEYS[3]) then return { CORRUPT } end
-- The order by name is that of members of one score.
if call('ZCOUNT', KEYS[3], 0, 0) ~= row[BLOB_COUNT] then return { CORRUPT } end
local answer = { OK, raw }
for _, name in ipairs(call('ZRANGEBYLEX', KEYS[3], ARGV[2], '+', 'LIMIT', 0, ARGV[3])) do
  answer[#answer + 1] = name
  answer[#answer + 1] = call('HSTRLEN', KEYS[2], name)
end
return answer
