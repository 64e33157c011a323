-- wrk's part in a scenario. Arguments, behind --, as name=value:
--
--   request=FILE  the bytes to send, one request or several that are pipelined
--   first=NUMBER  no two requests are the same: the file is cut at every NUL byte, and there go seven
--                 digits of a number that begins with this one
--   expect=FILE   the content of each answer, which is compared; else only wrk looks at the answers
--
-- At the end it prints a line of JSON with what wrk measured; times are in microseconds.

local given, threads = {}, {}

local function read(path)
    local file = assert(io.open(path, "rb"))
    local bytes = file:read("*a")
    file:close()
    return bytes
end

local function cut(bytes)
    local pieces, from = {}, 1
    for to in bytes:gmatch("()%z") do
        pieces[#pieces + 1] = bytes:sub(from, to - 1)
        from = to + 1
    end
    pieces[#pieces + 1] = bytes:sub(from)
    return pieces
end

local function vary(bytes, number)
    local pieces = cut(bytes)
    request = function()
        number = number + 1
        return table.concat(pieces, string.format("%07d", number))
    end
end

local function compare_with(expected)
    response = function(status, _, body)
        if status == 200 and body == expected then
            compared = compared + #body
        else
            wrong = wrong + 1
        end
    end
end

function setup(thread)
    thread:set("compared", 0)
    thread:set("wrong", 0)
    threads[#threads + 1] = thread
end

function wrk.init(args)
    for _, word in ipairs(args) do
        local name, value = word:match("^(%w+)=(.*)$")
        given[name] = value
    end
    local bytes = read(given.request)
    if given.first then
        vary(bytes, tonumber(given.first))
    else
        wrk.request = function() return bytes end -- called once: wrk then sends the same bytes for ever
    end
    if given.expect then
        compare_with(read(given.expect))
    end
end

local function sum(name)
    local total = 0
    for _, thread in ipairs(threads) do
        total = total + thread:get(name)
    end
    return total
end

function done(summary, latency, _)
    local errors = summary.errors
    print(string.format('RESULT {"requests": %d, "us": %d, "received": %.0f, "compared": %.0f, "wrong": %d, '
        .. '"p50": %d, "p99": %d, "p999": %d, "longest": %d, '
        .. '"errors": {"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}}',
        summary.requests, summary.duration, summary.bytes, sum("compared"), sum("wrong"),
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max,
        errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
