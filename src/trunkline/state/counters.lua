-- The counters that many processes share, counted by the server itself: each run is one atomic step, by one clock.
--
-- Owns windows, slots and budgets (the arithmetic is that of `counters.py`), rests and probes, leases, and the mark that
-- tells an emptied server. Knows nobody's name but as part of a key, and no prompt.
--
--   KEYS[1]  the hub. Its hash tag puts every key into one slot, so a cluster runs this as one server does.
--   ARGV[1]  what to do: `reserve` or `post`; ARGV[2]: the question, in msgpack.
--
--   hub:bucket:<key>   a window: a hash of sub-buckets by number, their `sum`, and `from`, the oldest that is in it
--                      a budget: a hash of `begin` and `end` of its period, what is `spent` and what is `held`
--                      slots: how many are held
--   hub:leases         reservations by the moment at which their lease ends
--   hub:held           what each reservation claimed, and when
--   hub:rest:<target>  `until` when it rests; `probe`: until when somebody finds out whether it is well
--   hub:teller:<name>  the last batch of posts of one event loop
--   hub:epoch          'seeded', or when somebody was told that there is nothing here yet
--
-- A claim is {key, kind, measure, span, limit, amount}: its kind is `window` with the length of a sub-bucket as its span,
-- `budget` with its period, or `slots`. Times are microseconds since 1970. Lua's numbers are exact up to 2^53: money, in
-- nano-dollars, up to nine million dollars a budget. The server writes a number that it is given to the last digit.

local PARTS = 100
local SECOND = 1000000
local DAY = 86400 * SECOND
local PROBE = 60 * SECOND        -- a probe that says nothing for so long is given up
local ASK_AGAIN = SECOND         -- after how long it is worth asking whether a probe has ended
local REMEMBERED = 3600 * SECOND -- a rest that ended so long ago needs no probe any more
local UNSEEDED = 10 * SECOND     -- whoever was told to seed and did not in this time is not waited for
local REAPED = 3                 -- how many expired leases one run returns, so that none takes long

local NEVER = -1

local call, floor, ceil, max, min = redis.call, math.floor, math.ceil, math.max, math.min
local hub = KEYS[1]
local time = call('TIME')
local now = time[1] * SECOND + time[2]

local function place(kind, name)
  return hub .. ':' .. kind .. ':' .. name
end

-- The calendar, in days since 1970 ---------------------------------------------------------------------------------

local function first_day(year) -- of a year
  local past = year - 1
  return 365 * (year - 1970) + (floor(past / 4) - 492) - (floor(past / 100) - 19) + (floor(past / 400) - 4)
end

local function month_of(day)
  local year = 1970 + floor(day / 365.2425)
  while first_day(year + 1) <= day do year = year + 1 end
  while first_day(year) > day do year = year - 1 end
  local leap = first_day(year + 1) - first_day(year) - 365
  local first = first_day(year)
  for _, days in ipairs({31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}) do
    if day < first + days then return first, first + days end
    first = first + days
  end
end

local function every(length, begun) -- periods of one length, the first of which began then
  local begin = floor((now - begun) / length) * length + begun
  return begin, begin + length
end

local bounds = {
  hour = function() return every(3600 * SECOND, 0) end,
  day = function() return every(DAY, 0) end,
  week = function() return every(7 * DAY, 4 * DAY) end, -- 1970-01-05 was a Monday
  month = function()
    local first, next = month_of(floor(now / DAY))
    return first * DAY, next * DAY
  end,
  ever = function() return 0, 2 ^ 53 end,
}

-- Counters: `open` reads one, `taken` is what counts, `asked` what `save` adds to it ----------------------------------

local window, slots, budget = {}, {}, {}
local kinds = {window = window, slots = slots, budget = budget}

function window.open(key, part)
  local index = floor(now / part)
  local from = index - PARTS -- the oldest that counts
  local sum, oldest, here = unpack(call('HMGET', key, 'sum', 'from', index))
  local taken = tonumber(sum) or 0
  oldest = tonumber(oldest) or index
  local begun = sum
  if oldest < from - 2 * PARTS then -- the clock has jumped
    call('DEL', key)
    taken, begun, here = 0, false, nil
  elseif oldest < from then
    local gone = {}
    for i = oldest, from - 1 do gone[#gone + 1] = i end
    for _, amount in ipairs(call('HMGET', key, unpack(gone))) do taken = taken - (tonumber(amount) or 0) end
    call('HDEL', key, unpack(gone))
    call('HSET', key, 'sum', taken, 'from', from)
  end
  return {key = key, part = part, index = index, begun = begun, here = tonumber(here) or 0, taken = taken, asked = 0}
end

function window.save(it)
  local field, here = it.index, it.here + it.asked
  if it.begun then
    call('HSET', it.key, 'sum', it.taken, field, here)
  else
    call('HSET', it.key, 'sum', it.taken, field, here, 'from', field)
  end
  if it.here == 0 then call('PEXPIREAT', it.key, ceil((it.index + PARTS + 1) * it.part / 1000)) end
end

function window.wait(it, over)
  local fields = {}
  for i = it.index - PARTS, it.index do fields[#fields + 1] = i end
  for number, amount in ipairs(call('HMGET', it.key, unpack(fields))) do
    over = over - (tonumber(amount) or 0)
    if over <= 0 then return (it.index + number) * it.part - now + 1 end
  end
  return NEVER
end

function window.settle(key, part, at, amount, kept)
  if kept > amount then -- it is felt from now on
    local it = window.open(key, part)
    it.asked, it.taken = kept - amount, it.taken + kept - amount
    window.save(it)
  elseif kept < amount then
    local field = floor(at / part)
    local back = min(amount - kept, tonumber(call('HGET', key, field)) or 0) -- nothing, where it has fallen out
    if back > 0 then
      call('HINCRBY', key, field, -back)
      call('HINCRBY', key, 'sum', -back)
    end
  end
end

function slots.open(key)
  return {key = key, taken = tonumber(call('GET', key)) or 0, asked = 0}
end

function slots.save(it)
  call('SET', it.key, it.taken, 'PX', 86400000)
end

function slots.wait()
  return NEVER
end

function slots.settle(key, _, _, amount, kept)
  if amount > kept and call('DECRBY', key, amount - kept) <= 0 then call('DEL', key) end
end

function budget.open(key, period)
  local begin, finish, spent, held = unpack(call('HMGET', key, 'begin', 'end', 'spent', 'held'))
  local it = {key = key, period = period, asked = 0}
  if finish and now < tonumber(finish) then
    it.begin, it.finish, it.spent, it.held = tonumber(begin), tonumber(finish), tonumber(spent), tonumber(held)
  else
    it.begin, it.finish = bounds[period]()
    it.spent, it.held, it.begins = 0, 0, true
  end
  it.taken = it.spent + it.held
  return it
end

function budget.save(it)
  it.held = it.held + it.asked
  if not it.begins then
    call('HSET', it.key, 'spent', it.spent, 'held', it.held)
    return
  end
  call('HSET', it.key, 'begin', it.begin, 'end', it.finish, 'spent', it.spent, 'held', it.held)
  if it.period == 'ever' then call('PERSIST', it.key) else call('PEXPIREAT', it.key, ceil(it.finish / 1000)) end
end

function budget.wait(it)
  return it.period == 'ever' and NEVER or it.finish - now
end

function budget.settle(key, period, at, amount, kept)
  local it = budget.open(key, period)
  if at < it.begin then return end -- charged to a period that is over
  it.held, it.spent = max(0, it.held - amount), it.spent + kept
  budget.save(it)
end

-- Reservations -------------------------------------------------------------------------------------------------------

local function kept_of(measure, amount, used) -- how much of it stays counted; `used` is {tokens, money}, or false
  if not used or measure == 'slots' then return 0 end
  if measure == 'requests' then return amount end
  return measure == 'tokens' and used[1] or used[2]
end

local function give_back(claims, at, used)
  for _, claim in ipairs(claims) do
    local key, kind, measure, span, _, amount = unpack(claim)
    kinds[kind].settle(place('bucket', key), span, at, amount, kept_of(measure, amount, used))
  end
end

local function take_record(id) -- of a reservation that is held; nil: it was returned, or there was none
  local record = call('HGET', hub .. ':held', id)
  if not record then return nil end
  call('HDEL', hub .. ':held', id)
  call('ZREM', hub .. ':leases', id)
  return cmsgpack.unpack(record)
end

local function reap() -- requests stay counted: they may have been sent
  for _, id in ipairs(call('ZRANGEBYSCORE', hub .. ':leases', '-inf', now, 'LIMIT', 0, REAPED)) do
    local record = take_record(id)
    if record then give_back(record[2], record[1], {0, 0}) else call('ZREM', hub .. ':leases', id) end
  end
end

local function is_empty() -- and somebody is told so: once, and again if he does nothing about it
  local epoch = call('GET', hub .. ':epoch')
  if epoch == 'seeded' or (epoch and now - tonumber(epoch) < UNSEEDED) then return 0 end
  call('SET', hub .. ':epoch', now)
  return 1
end

local function refusal_of(target)
  local until_when, probe = unpack(call('HMGET', place('rest', target), 'until', 'probe'))
  if not until_when then return nil, false end
  if tonumber(until_when) > now then return {'resting', tonumber(until_when) - now}, false end
  if probe and tonumber(probe) > now then return {'probing', min(ASK_AGAIN, tonumber(probe) - now)}, false end
  return nil, true
end

local function reserve(question)
  local target, lease, groups = unpack(question)
  reap()
  local empty = is_empty()
  local probe = false
  if target then
    local refusal
    refusal, probe = refusal_of(target)
    if refusal then return {refusal[1], empty, refusal[2]} end
  end
  local opened, in_order = {}, {}
  for group, named in ipairs(groups) do
    for number, claim in ipairs(named[2]) do
      local key, kind, _, span, limit, amount = unpack(claim)
      local it = opened[key]
      if not it then
        it = kinds[kind].open(place('bucket', key), span)
        it.kind, opened[key], in_order[#in_order + 1] = kinds[kind], it, it
      end
      if it.taken + amount > limit then
        local wait = amount > limit and NEVER or it.kind.wait(it, it.taken + amount - limit)
        return {'full', empty, wait, group - 1, number - 1}
      end
      it.taken, it.asked = it.taken + amount, it.asked + amount
    end
  end
  for _, it in ipairs(in_order) do it.kind.save(it) end
  local records, leases = {}, {}
  for _, named in ipairs(groups) do
    if #named[2] > 0 then
      records[#records + 1], leases[#leases + 1] = named[1], now + lease
      records[#records + 1], leases[#leases + 1] = cmsgpack.pack({now, named[2]}), named[1]
    end
  end
  if #records > 0 then
    call('HSET', hub .. ':held', unpack(records))
    call('ZADD', hub .. ':leases', unpack(leases))
  end
  if probe then call('HSET', place('rest', target), 'probe', now + PROBE) end
  return {'granted', empty, now, probe and 1 or 0}
end

-- Posts: what nobody waits for ---------------------------------------------------------------------------------------

local posts = {}

function posts.settle(id, at, used, claims) -- `claims`: those of tokens and money, for one that was returned meanwhile
  local record = take_record(id)
  if record then return give_back(record[2], record[1], used) end
  if not used then return end
  for _, claim in ipairs(claims) do
    local key, kind, measure, span = unpack(claim)
    kinds[kind].settle(place('bucket', key), span, at == 0 and now or at, 0, kept_of(measure, 0, used))
  end
end

function posts.renew(lease, ids)
  for _, id in ipairs(ids) do call('ZADD', hub .. ':leases', 'XX', now + lease, id) end
end

function posts.rest(target, length)
  local key = place('rest', target)
  local ends = max(tonumber(call('HGET', key, 'until')) or 0, now + length)
  call('HDEL', key, 'probe')
  call('HSET', key, 'until', ends)
  call('PEXPIREAT', key, ceil((ends + REMEMBERED) / 1000))
end

function posts.recover(target)
  call('DEL', place('rest', target))
end

function posts.forgo(target)
  call('HDEL', place('rest', target), 'probe')
end

function posts.seed(spent)
  for _, entry in ipairs(spent) do
    local key, period, amount = unpack(entry)
    local it = budget.open(place('bucket', key), period)
    it.spent = max(it.spent, amount)
    budget.save(it)
  end
  call('SET', hub .. ':epoch', 'seeded')
end

local function post(question) -- a batch that comes a second time, because its answer was lost, changes nothing
  local teller, number, batch = unpack(question)
  local key = place('teller', teller)
  if (tonumber(call('GET', key)) or 0) >= number then return 0 end
  for _, it in ipairs(batch) do posts[it[1]](unpack(it, 2)) end
  call('SET', key, number, 'EX', 86400)
  reap()
  return #batch
end

local does = {reserve = reserve, post = post}
return does[ARGV[1]](cmsgpack.unpack(ARGV[2]))
