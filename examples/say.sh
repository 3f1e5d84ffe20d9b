#!/bin/sh
# Say one thing to somebody:   MSRPD_TOKEN=$(msrpctl -j token alice | jq -r .token) \
#     say.sh http://127.0.0.1:8080 sip:alice@example.org sip:bob@example.org "Dinner is ready"
set -eu
url=$1 from=$2 to=$3 text=$4

# Text as JSON.
quote() {
	printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$/"/'
}

# METHOD PARAMS: the result, or the error and an end.
call() {
	answer=$(printf '{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}' "$1" "$2" |
		curl -sS --fail -H "Authorization: Bearer $MSRPD_TOKEN" -d @- "$url/api")
	case $answer in
	*'"error"'*) echo "$answer" >&2; exit 1 ;;
	esac
	echo "$answer"
}

started=$(call msrp_ua_start_session "{\"content_types\": \"text/plain\", \"from_uri\": $(quote "$from"),
	\"to_uri\": $(quote "$to"), \"ruri\": $(quote "$to")}")
session=$(echo "$started" | sed 's/.*"session_id":"\([^"]*\)".*/\1/')
# It waits until the session is there.
call msrp_ua_send_message "{\"session_id\": \"$session\", \"mime\": \"text/plain\", \"body\": $(quote "$text")}" >/dev/null
echo "$session"
