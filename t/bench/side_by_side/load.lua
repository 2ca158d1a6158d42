-- SPDX-License-Identifier: Apache-2.0
-- For wrk: load.lua FOLDER. There are method, path, type, before and after (the body around a token), tokens (one a
-- line, each sent once), addresses (from which number on, and how many there are), close (a connection each).
local folder, tokens, addresses, first = nil, nil, nil, 0
local head, before, after = nil, "", ""
local n = 0

local function read(name)
    local f = io.open(folder .. "/" .. name, "rb")
    if not f then return nil end
    local all = f:read("*a")
    f:close()
    return all
end

function init(args)
    folder = args[1]
    before, after = read("before") or "", read("after") or ""
    local kind, from = read("type"), read("addresses")
    head = read("method") .. " " .. read("path") .. " HTTP/1.1\r\nHost: shop.example\r\n"
    if kind ~= "" then head = head .. "Content-Type: " .. kind .. "\r\n" end
    if read("close") then head = head .. "Connection: close\r\n" end
    local list = read("tokens")
    if list then
        tokens = {}
        for line in list:gmatch("[^\n]+") do tokens[#tokens + 1] = line end
    end
    if from then
        first, addresses = from:match("(%d+) (%d+)")
        first, addresses = tonumber(first), tonumber(addresses)
    end
    constant = not tokens and not addresses
    if constant then whole = message("", "") end
end

function message(token, more)
    local body = before .. token .. after
    if body == "" then return head .. more .. "\r\n" end
    return head .. more .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

function request()
    if constant then return whole end
    n = n + 1
    local more = ""
    if addresses then
        -- All of them, and none near to the last.
        local a = ((first + n) * 611953) % addresses
        more = string.format("X-Forwarded-For: 11.%d.%d.%d\r\n", math.floor(a / 65536), math.floor(a / 256) % 256, a % 256)
    end
    return message(tokens and tokens[(n - 1) % #tokens + 1] or "", more)
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d %d\n", summary.requests, summary.duration, e.status,
        e.connect + e.read + e.write + e.timeout))
end
