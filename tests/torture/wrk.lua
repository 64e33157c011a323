-- Each connection asks, thinks a while, and asks again; every answer is compared with the right one.

local mean_ms = tonumber(os.getenv("THINK_MS"))
local expected = "GET /wrk 0 0\n"
local threads = {}

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    wrong = 0
    math.randomseed(os.time())
end

function delay()
    return math.random(0, 2 * mean_ms)
end

function response(status, headers, body)
    if status ~= 200 or body ~= expected then
        wrong = wrong + 1
    end
end

function done(summary, latency, requests)
    local wrong = 0
    local errors = summary.errors
    for _, thread in ipairs(threads) do
        wrong = wrong + thread:get("wrong")
    end
    print(string.format("RESULT answered=%d wrong=%d lost=%d", summary.requests, wrong,
                        errors.connect + errors.read + errors.write + errors.timeout))
end
