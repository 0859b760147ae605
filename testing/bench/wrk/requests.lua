-- Sends the requests of a file in turn, from a random place on, and prints what came of it as one line of JSON.
-- The file: one request a line, fields parted by tabs: method, path, bearer token, client address, body.
-- It holds no idea of what is measured.

local requests = {}
local at = 0

function init(args)
  math.randomseed(os.time() + (tonumber(args[2]) or 0))
  for line in io.lines(args[1]) do
    local method, path, token, address, body = line:match("^(.-)\t(.-)\t(.-)\t(.-)\t(.*)$")
    local headers = {}
    if token ~= "" then headers["Authorization"] = "Bearer " .. token end
    if address ~= "" then headers["X-Forwarded-For"] = address end
    if body ~= "" then headers["Content-Type"] = "application/json" else body = nil end
    requests[#requests + 1] = wrk.format(method, path, headers, body)
  end
  at = math.random(#requests) - 1
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"micros":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d,' ..
    '"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(90), latency:percentile(99),
    latency.max, e.connect, e.read, e.write, e.timeout, e.status))
end
