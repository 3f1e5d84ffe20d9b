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
    /* KEYS: what is given up; ARGV: "NAME INSTANCE" */
    [SCRIPT_RELEASE] = "for _, key in ipairs(KEYS) do\n"
		       "  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end\n"
		       "end\n"
		       "return 1\n",
    /* KEYS: record of this node, set of nodes; ARGV: instance, name */
    [SCRIPT_LEAVE] = "local cur = redis.call('GET', KEYS[1])\n"
		     "if cur and string.sub(cur, 1, #ARGV[1]) == ARGV[1] then\n"
		     "  redis.call('DEL', KEYS[1])\n"
		     "  redis.call('SREM', KEYS[2], ARGV[2])\n"
		     "end\n"
		     "return 1\n",
};
