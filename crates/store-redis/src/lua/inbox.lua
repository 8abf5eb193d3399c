-- A page of waiting messages. KEYS: row, messages, their index. Taken messages leave gaps; the index has what waits.

local row, raw = load(KEYS[1])
if not row then return { raw } end
if not whole(row[MESSAGE_COUNT], KEYS[2], KEYS[3]) then return { CORRUPT } end
local after, until_, most, reverse, bytes = ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1', tonumber(ARGV[6])
local numbers
if reverse then
  numbers = call('ZREVRANGEBYSCORE', KEYS[3], until_, '(' .. after, 'LIMIT', 0, most)
else
  numbers = call('ZRANGEBYSCORE', KEYS[3], '(' .. after, until_, 'LIMIT', 0, most)
end
local answer, size = { OK, raw }, 0
for _, number in ipairs(numbers) do
  size = size + call('HSTRLEN', KEYS[2], number)
  if size > bytes and #answer > 2 then break end
  local message = call('HGET', KEYS[2], number)
  if not message then return { CORRUPT } end
  answer[#answer + 1] = message
end
return answer
