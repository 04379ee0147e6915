# ruff: noqa: S608 (put together from this file alone)
"""The SQL of the broker: tables `broker_messages` and `broker_bindings`, nothing else.

A consumer is known by a random key, under which its connection holds an advisory lock: Postgres releases the
lock when that connection dies, for whatever reason, and every message taken under the key is free again.
(A backend's pid would be simpler, but pids are used again.)
"""

CHANNEL = "tunebook_broker"
"""The one NOTIFY channel; a payload is the queue that got a message, or the key of who may take more."""

CONSUMER_LOCKS = 0x54624272  # "TbBr", the first half of each consumer's advisory lock
RECOVERY_LOCK = 0x54625265  # "TbRe"

HOLD_KEY = "SELECT pg_try_advisory_lock(%s, %s)"
LISTEN = f"LISTEN {CHANNEL}"

PUT = """
WITH message AS (
    INSERT INTO broker_messages (queue, priority, payload, expires_at)
    SELECT unnest(%(queues)s::text[]), %(priority)s, %(payload)s::json,
        now() + make_interval(secs => %(seconds)s)
    RETURNING queue)
SELECT pg_notify('tunebook_broker', queue) FROM message
"""

_OLDEST = """
    SELECT id FROM broker_messages
    WHERE queue = %(queue)s AND taken_by IS NULL AND (expires_at IS NULL OR expires_at > now())
    ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
TAKE = f"""
UPDATE broker_messages SET taken_at = now(), taken_by = %(key)s WHERE id = ({_OLDEST}) RETURNING id, payload
"""
TAKE_AND_FORGET = f"DELETE FROM broker_messages WHERE id = ({_OLDEST}) RETURNING id, payload"

# The consumer is told of its own acks: a prefetch limit that held it back may have gone.
ACK = """
WITH acked AS (DELETE FROM broker_messages WHERE id = %(id)s AND taken_by = %(key)s)
SELECT pg_notify('tunebook_broker', %(key)s::text)
"""
GIVE_BACK = """
WITH free AS (
    UPDATE broker_messages SET taken_at = NULL, taken_by = NULL
    WHERE id = ANY(%(ids)s) AND taken_by = %(key)s RETURNING queue)
SELECT pg_notify('tunebook_broker', queue) FROM free
UNION ALL SELECT pg_notify('tunebook_broker', %(key)s::text)
"""

SIZE = "SELECT count(*) FROM broker_messages WHERE queue = %(queue)s AND taken_by IS NULL"
PURGE = "DELETE FROM broker_messages WHERE queue = %(queue)s AND taken_by IS NULL"

BIND = """
INSERT INTO broker_bindings (exchange, routing_key, pattern, queue, owner)
VALUES (%(exchange)s, %(routing_key)s, %(pattern)s, %(queue)s, %(owner)s)
ON CONFLICT (exchange, routing_key, pattern, queue) DO UPDATE SET owner = excluded.owner
"""
UNBIND = "DELETE FROM broker_bindings WHERE queue = %(queue)s AND exchange = %(exchange)s"
BINDINGS = "SELECT routing_key, pattern, queue FROM broker_bindings WHERE exchange = %(exchange)s"

# One recovery at a time, in its own transaction: two at once could free what the living have just taken.
RECOVERY_TURN = "SELECT pg_try_advisory_xact_lock(%s, 0)"
_LIVING = f"""
    SELECT objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {CONSUMER_LOCKS} AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
DROP_ORPHANED_QUEUES = f"""
WITH gone AS (DELETE FROM broker_bindings WHERE owner NOT IN ({_LIVING}) RETURNING queue)
DELETE FROM broker_messages USING gone WHERE broker_messages.queue = gone.queue
"""
DROP_EXPIRED = "DELETE FROM broker_messages WHERE expires_at <= now() AND taken_by IS NULL"
FREE_ORPHANED_MESSAGES = f"""
WITH free AS (
    UPDATE broker_messages SET taken_at = NULL, taken_by = NULL
    WHERE taken_by NOT IN ({_LIVING}) RETURNING queue)
SELECT pg_notify('tunebook_broker', queue) FROM free GROUP BY queue
"""
