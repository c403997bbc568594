#!/bin/sh
# stand_in.sh VERSION
# Answers for `hypervisor serve` where a session has started it and its environment was never made: a
# session's start installs nothing. It is an MCP server without tools that says how to get them, in
# the shell alone, since there may be no Python. Ends with its input.
set -u

ask='The task tools of hypervisor are not set up here. To have them, run once: hypervisor serve --setup, then reconnect with /mcp.'

while IFS= read -r line || [ -n "$line" ]; do
    # A quotation mark inside of a JSON text is escaped, so this finds keys only. The requests that
    # are answered here hold no other `id` than their own; what has none is a notification.
    id=${line##*\"id\":}
    [ "$id" != "$line" ] || continue
    id=${id#"${id%%[! ]*}"}
    case $id in
    \"*) id=${id#\"} id=\"${id%%\"*}\" ;;
    *) id=${id%%[!0-9-]*} ;;
    esac
    method=${line#*\"method\":}
    method=${method#*\"}
    case ${method%%\"*} in
    initialize)
        version=${line#*\"protocolVersion\":}
        version=${version#*\"}
        version=${version%%[!0-9-]*}
        answer="\"result\":{\"protocolVersion\":\"$version\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"task_manager\",\"version\":\"$1\"},\"instructions\":\"$ask\"}"
        ;;
    tools/list) answer='"result":{"tools":[]}' ;;
    ping) answer='"result":{}' ;;
    *) answer='"error":{"code":-32601,"message":"not set up; run once: hypervisor serve --setup"}' ;;
    esac
    printf '{"jsonrpc":"2.0","id":%s,%s}\n' "${id:-null}" "$answer"
done
