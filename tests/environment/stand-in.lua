-- Copyright (c) 2026, killinit.zot contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Zot's rules that Distribution does not have, in the order in which Zot checks them: permissions, the quota, the media
-- type. nginx has checked the password before check() is called. Distribution cannot remove a tag, so this file does.
-- Its storage is not safe with requests at the same time, so this file orders them.

local rules = { quota = nil, storage = nil }

local repositories = ngx.shared.repositories
local tags = ngx.shared.tags

local READS = { GET = true, HEAD = true }
local MEDIA_TYPES = {
    ["application/vnd.oci.image.manifest.v1+json"] = true,
    ["application/vnd.oci.image.index.v1+json"] = true,
}

-- The request that Distribution is answering, by repository. nginx has one process, so all requests share this table.
local in_turn = {}

-- The repository and the tag or digest, or nil if the request is not for a manifest.
local function manifest_of(path)
    return path:match("^/v2/(.+)/manifests/([^/]+)$")
end

local function refuse(status, code, message, detail)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    local body = string.format('{"errors":[{"code":"%s","message":"%s","detail":%s}]}', code, message, detail)
    ngx.header["Content-Length"] = #body
    ngx.print(body)
    return ngx.exit(status)
end

-- A tag is a directory in the storage of Distribution, which reads it for each request.
local function remove_tag(repository, tag)
    if not repositories:get(repository) then
        return refuse(400, "NAME_UNKNOWN", "repository name not known to registry",
            string.format('{"description":"no such repository","name":"%s"}', repository))
    end
    if not tags:get(repository .. ":" .. tag) then
        return refuse(404, "MANIFEST_UNKNOWN", "manifest unknown",
            string.format('{"description":"no such tag","reference":"%s"}', tag))
    end
    -- Both were accepted by Distribution, so they hold no quote; this keeps it true.
    local name = (repository .. "/_manifests/tags/" .. tag):gsub("[^%w._/-]", "")
    os.execute("rm -r '" .. rules.storage .. "/docker/registry/v2/repositories/" .. name .. "'")
    tags:delete(repository .. ":" .. tag)
    ngx.status = 202
    ngx.header["Content-Length"] = 0
    return ngx.exit(202)
end

local function deny()
    ngx.header["WWW-Authenticate"] = 'Basic realm="Authorization Required"'
    return refuse(403, "DENIED", "requested access to the resource is denied",
        '{"description":"the account may not do this to the resource"}')
end

-- Distribution empties the link of a blob, a manifest or a tag before it writes the same link again, also if nothing
-- changes. A request that reads the empty link fails: https://github.com/distribution/distribution/issues/4489
-- So each repository gets one request at a time. PATCH uses no link: it adds data to an upload of its own.
local function wait_for_turn()
    local repository = ngx.var.uri:match("^/v2/(.+)/manifests/") or ngx.var.uri:match("^/v2/(.+)/blobs/")
    if not repository or ngx.req.get_method() == "PATCH" then
        return
    end
    -- A second at most: a client that stalls in the middle of its request does not block the others.
    local deadline = ngx.now() + 1
    while in_turn[repository] and ngx.now() < deadline do
        ngx.sleep(0.002)
    end
    ngx.ctx.turn = { repository = repository }
    in_turn[repository] = ngx.ctx.turn
end

-- Called when Distribution has answered, and at the end of each request, because a client may leave before the answer.
function rules.end_turn()
    local turn = ngx.ctx.turn
    if turn and in_turn[turn.repository] == turn then
        in_turn[turn.repository] = nil
    end
end

function rules.check()
    wait_for_turn()
    local method, path = ngx.req.get_method(), ngx.var.uri
    local repository, reference = manifest_of(path)

    if path:find("^/v2/private/") and ngx.var.remote_user ~= "writer" then
        return deny()
    end
    if READS[method] then
        -- Distribution says MANIFEST_UNKNOWN here, too.
        if repository and not repositories:get(repository) then
            return refuse(404, "NAME_UNKNOWN", "repository name not known to registry",
                string.format('{"description":"no such repository","name":"%s"}', repository))
        end
        return
    end

    if ngx.var.remote_user ~= "writer" and not (ngx.var.remote_user == "janitor" and method == "DELETE") then
        return deny()
    end
    if path:find("^/v2/immutable/") then
        if method == "DELETE" or (method == "PUT" and repository and tags:get(repository .. ":" .. reference)) then
            return deny()
        end
    end

    if path:find("^/v2/lasting/") and method == "DELETE" then
        return deny()
    end

    if method == "DELETE" and repository and not reference:find(":") then
        return remove_tag(repository, reference)
    end
    if method ~= "PUT" or not repository then
        return
    end
    if rules.quota and not repositories:get(repository) and #repositories:get_keys(0) >= rules.quota then
        return refuse(429, "TOOMANYREQUESTS", "too many requests",
            string.format('{"description":"no room for another repository","limit":"%d"}', rules.quota))
    end
    local media_type = ngx.var.http_content_type or ""
    if not MEDIA_TYPES[media_type] then
        return refuse(415, "MANIFEST_INVALID", "manifest invalid",
            string.format('{"description":"not a media type of OCI","mediaType":"%s"}', (media_type:gsub('[%c"\\]', ""))))
    end
end

-- Called before the answer leaves, so that the next request already meets what this one has created.
function rules.remember()
    local repository, reference = manifest_of(ngx.var.uri)
    if repository and ngx.req.get_method() == "PUT" and ngx.status == 201 then
        repositories:set(repository, true)
        if not reference:find(":") then
            tags:set(repository .. ":" .. reference, true)
        end
    end
    rules.end_turn()
end

return rules
