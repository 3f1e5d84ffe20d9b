/*
 * What Redis does in one step, in Lua.  A value of a key is "NAME INSTANCE" of the node that owns
 * it, and good as long as the record of that node is there with that instance: so a node that is
 * gone takes all of its keys with it at once, and what has to be said every few seconds is one
 * record, however many keys there are.
 */
#include "cluster/priv.h"

const char *const redis_scripts[SCRIPTS] = {
    /*
     * KEYS: record of this node, set of nodes, secret
     * ARGV: "INSTANCE SIP MSRP KEYS", instance, ttl, "1": however it may be, prefix of records, name,
     *       secret
     * -> "taken": another process is this node; or "kept" or "new", the secret, and then
     *    "NAME INSTANCE SIP MSRP KEYS" of each node
     */
    [SCRIPT_NODE] =
	"local cur = redis.call('GET', KEYS[1])\n"
	"local kept = cur and string.sub(cur, 1, #ARGV[2]) == ARGV[2]\n"
	"if cur and not kept and ARGV[4] == '0' then return {'taken'} end\n"
	/* What Redis does when it is full as well: a node lives on. */
	"if kept then\n"
	"  redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
	"  if cur ~= ARGV[1] then redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end\n"
	"else\n"
	"  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])\n"
	"  redis.call('SADD', KEYS[2], ARGV[6])\n"
	"  redis.call('SET', KEYS[3], ARGV[7], 'NX')\n"
	"end\n"
	"redis.call('PEXPIRE', KEYS[2], ARGV[3] * 90)\n"
	"redis.call('PEXPIRE', KEYS[3], ARGV[3] * 90)\n"
	"local out = {kept and 'kept' or 'new', redis.call('GET', KEYS[3])}\n"
	"for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do\n"
	"  local record = redis.call('GET', ARGV[5] .. name)\n"
	"  if record then out[#out + 1] = name .. ' ' .. record\n"
	"  else redis.call('SREM', KEYS[2], name) end\n"
	"end\n"
	"return out\n",
    /*
     * KEYS: what is claimed
     * ARGV: "NAME INSTANCE", how long a key stays, prefix of records
     * -> for each key "", it is ours; or "NAME INSTANCE SIP MSRP KEYS" of its owner
     */
    [SCRIPT_CLAIM] = "local out = {}\n"
		     "for i, key in ipairs(KEYS) do\n"
		     "  local value = redis.call('GET', key)\n"
		     "  out[i] = ''\n"
		     "  if value == ARGV[1] then\n"
		     "    redis.call('PEXPIRE', key, ARGV[2])\n"
		     "  else\n"
		     "    local name, instance, record\n"
		     "    if value then name, instance = string.match(value, '^(%S+) (%S+)') end\n"
		     "    if name then record = redis.call('GET', ARGV[3] .. name) end\n"
		     "    if record and string.sub(record, 1, #instance) == instance then\n"
		     "      out[i] = name .. ' ' .. record\n"
		     "    else\n"
		     "      redis.call('SET', key, ARGV[1], 'PX', ARGV[2])\n"
		     "    end\n"
		     "  end\n"
		     "end\n"
		     "return out\n",
    /* KEYS: a key; ARGV: "NAME INSTANCE", prefix of records -> as of SCRIPT_CLAIM, "" also: nobody's */
    [SCRIPT_OWNER] =
	"local value = redis.call('GET', KEYS[1])\n"
	"if not value or value == ARGV[1] then return '' end\n"
	"local name, instance = string.match(value, '^(%S+) (%S+)')\n"
	"local record = name and redis.call('GET', ARGV[2] .. name)\n"
	"if not record or string.sub(record, 1, #instance) ~= instance then return '' end\n"
	"return name .. ' ' .. record\n",
    /* KEYS: what is given up; ARGV: "NAME INSTANCE" */
    [SCRIPT_RELEASE] = "for _, key in ipairs(KEYS) do\n"
		       "  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end\n"
		       "end\n"
		       "return 1\n",
    /*
     * KEYS: a record
     * ARGV: "NAME INSTANCE", prefix of records; to write it also: born, version, how long it stays,
     *       lines
     * A line is "NAME INSTANCE WORDS…", or "- - WORDS…" where it is bound to no process.
     * -> 1: it was as they say, and is written; or 0; born, version, time; then for each line
     *    whose process is there the line and the record of its node, or ""
     */
    [SCRIPT_RECORD] =
	"local t = redis.call('TIME')\n"
	"local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))\n"
	"local cur = redis.call('HMGET', KEYS[1], 'born', 'version', 'lines')\n"
	"local born, version = cur[1] or '0', cur[2] or '0'\n"
	"if ARGV[3] == born and ARGV[4] == version then\n"
	"  if born == '0' then born = string.format('%.0f', t[1] * 1000000 + t[2]) end\n"
	"  version = string.format('%.0f', version + 1)\n"
	"  redis.call('HSET', KEYS[1], 'born', born, 'version', version, 'lines', ARGV[6])\n"
	"  redis.call('PEXPIRE', KEYS[1], ARGV[5])\n"
	"  return {'1', born, version, now}\n"
	"end\n"
	"local out = {'0', born, version, now}\n"
	"for line in string.gmatch(cur[3] or '', '[^\\n]+') do\n"
	"  local name, instance = string.match(line, '^(%S+) (%S+) ')\n"
	"  local record = name and name ~= '-' and redis.call('GET', ARGV[2] .. name)\n"
	"  if name and (name == '-' or name .. ' ' .. instance == ARGV[1]\n"
	"      or (record and string.sub(record, 1, #instance) == instance)) then\n"
	"    out[#out + 1] = line\n"
	"    out[#out + 1] = record and name .. ' ' .. record or ''\n"
	"  end\n"
	"end\n"
	"return out\n",
    /* KEYS: numbers; ARGV: how long they stay, what to add to each -> each of them */
    [SCRIPT_COUNT] = "local out = {}\n"
		     "for i, key in ipairs(KEYS) do\n"
		     "  out[i] = redis.call('INCRBY', key, ARGV[i + 1])\n"
		     "  if out[i] == tonumber(ARGV[i + 1]) then\n"
		     "    redis.call('PEXPIRE', key, ARGV[1])\n"
		     "  end\n"
		     "end\n"
		     "return out\n",
    /* KEYS: record of this node, set of nodes; ARGV: instance, name */
    [SCRIPT_LEAVE] = "local cur = redis.call('GET', KEYS[1])\n"
		     "if cur and string.sub(cur, 1, #ARGV[1]) == ARGV[1] then\n"
		     "  redis.call('DEL', KEYS[1])\n"
		     "  redis.call('SREM', KEYS[2], ARGV[2])\n"
		     "end\n"
		     "return 1\n",
};
