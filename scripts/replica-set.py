#!/usr/bin/env python3
"""Makes a MongoDB replica set of members on 127.0.0.1, and asks members what they are.

    replica-set.py initiate NAME PORT...   initiates it if needed, and waits until all members serve
    replica-set.py ask PORT                prints primary, secondary or other; fails without an answer

Speaks OP_MSG itself, with just enough BSON: no driver and no mongo shell is needed.
"""
import socket, struct, sys, time

TIMEOUT = 60  # seconds, for the first election and for a revived member to catch up


def encode(document):
    out = b""
    for key, value in document.items():
        name = key.encode() + b"\0"
        if isinstance(value, bool):  # before int: a bool is an int
            out += b"\x08" + name + bytes([value])
        elif isinstance(value, int):
            out += b"\x10" + name + struct.pack("<i", value)
        elif isinstance(value, str):
            text = value.encode() + b"\0"
            out += b"\x02" + name + struct.pack("<i", len(text)) + text
        elif isinstance(value, list):
            out += b"\x04" + name + encode({str(i): item for i, item in enumerate(value)})
        else:
            out += b"\x03" + name + encode(value)
    return struct.pack("<i", len(out) + 5) + out + b"\0"


def decode(data):
    fixed = {0x01: "<d", 0x08: "<?", 0x09: "<q", 0x10: "<i", 0x11: "<Q", 0x12: "<q"}
    document, at = {}, 4
    while data[at]:
        kind, end = data[at], data.index(b"\0", at + 1)
        key, at = data[at + 1:end].decode(), end + 1
        if kind in fixed:
            (value,), size = struct.unpack_from(fixed[kind], data, at), struct.calcsize(fixed[kind])
        elif kind == 0x0A:
            value, size = None, 0
        elif kind == 0x07:
            value, size = data[at:at + 12], 12
        else:  # these say their own length
            (length,) = struct.unpack_from("<i", data, at)
            if kind == 0x02:
                value, size = data[at + 4:at + 3 + length].decode(), length + 4
            elif kind in (0x03, 0x04):
                value, size = decode(data[at:at + length]), length
            elif kind == 0x05:
                value, size = data[at + 5:at + 5 + length], length + 5
            else:
                raise ValueError(f"BSON type {kind:#x} of {key}")
        document[key], at = value, at + size
    return document


def command(port, document, limit=2):
    with socket.create_connection(("127.0.0.1", port), limit) as connection:
        connection.settimeout(limit)
        body = struct.pack("<IB", 0, 0) + encode({**document, "$db": "admin"})
        connection.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
        reply, wanted = b"", 4
        while len(reply) < wanted:
            some = connection.recv(65536)
            if not some:
                raise ConnectionError(f"port {port}: the connection was closed")
            reply += some
            if len(reply) >= 4:
                (wanted,) = struct.unpack_from("<i", reply)
        return decode(reply[21:])  # 16 of header, 4 of flags, 1 of section kind


def role(port):
    hello = command(port, {"hello": 1})
    return "primary" if hello.get("isWritablePrimary") else "secondary" if hello.get("secondary") else "other"


def initiate(name, ports):
    reply = command(ports[0], {"replSetInitiate": {
        "_id": name,
        "members": [{"_id": i, "host": f"127.0.0.1:{port}"} for i, port in enumerate(ports)],
        # With the defaults every election, the first one too, takes more than ten seconds.
        "settings": {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500},
    }}, limit=TIMEOUT)
    if not reply["ok"] and reply.get("codeName") != "AlreadyInitialized":
        raise RuntimeError(reply.get("errmsg", reply))


def wait_until_all_serve(ports):
    end, state = time.monotonic() + TIMEOUT, "nothing known"
    while time.monotonic() < end:
        try:
            roles = [role(port) for port in ports]
            state = ", ".join(f"{port} {what}" for port, what in zip(ports, roles))
            if "primary" in roles and "other" not in roles:
                # What counts is that a majority takes a write. A note in the oplog leaves no collection.
                reply = command(ports[roles.index("primary")], {
                    "appendOplogNote": 1, "data": {"msg": "scripts/servers up"},
                    "writeConcern": {"w": "majority", "wtimeout": 5000}}, limit=10)
                if reply["ok"] and "writeConcernError" not in reply:
                    return
                state += f", but a write says {reply}"
        except (OSError, struct.error) as error:
            state = str(error)
        time.sleep(0.1)
    raise TimeoutError(f"the replica set does not serve after {TIMEOUT} s: {state}")


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["ask"] and len(sys.argv) == 3:
            print(role(int(sys.argv[2])))
        elif sys.argv[1:2] == ["initiate"] and len(sys.argv) > 3:
            members = [int(port) for port in sys.argv[3:]]
            initiate(sys.argv[2], members)
            wait_until_all_serve(members)
        else:
            sys.exit(__doc__)
    except (OSError, RuntimeError, ValueError, struct.error) as error:
        sys.exit(f"replica-set.py: {error}")
