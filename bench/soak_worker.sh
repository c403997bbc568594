#!/bin/sh
# A worker as somebody would script it: soak_worker.sh QUEUE NAME SECONDS. Its commits are its own,
# and on the remote before the ledger has accepted them, so that late ones are there to be refused.
while :; do
    told=$(hypervisor next "$1" --branch --worker "$2")
    case $? in
    0) ;;
    3) exit 0 ;;
    *) sleep 1 && continue ;;
    esac
    token=$(printf '%s\n' "$told" | sed -n 's/^claim //p')
    tree=$(printf '%s\n' "$told" | sed -n 's/^work in: \(.*\) (go there.*/\1/p')
    id=$(printf '%s\n' "$told" | sed -n 's/^item: //p')
    [ -n "$token" ] || { sleep 2 && continue; }
    echo "begun $token"
    sleep "$3"
    sed -i "s/^$id:.*/$id: $token/" "$tree"/out/*
    git -C "$tree" commit --quiet --all -m "work of $token"
    # The tree of a claim that was lost may be gone by now, whole or in part.
    until git -C "$tree" push --quiet origin HEAD || ! [ -f "$tree/.git" ] ||
        ! git -C "$tree" rev-parse --quiet --verify HEAD >/dev/null; do sleep 1; done
    hypervisor done "$token" --summary "by $2"
    [ $? != 4 ] || echo "refused $token"
done
