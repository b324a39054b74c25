// What requests and the making of connections fail with.

// The message ends with that of the cause.
export class WebWireError extends Error {
  constructor(message, cause) {
    super(cause ? `${message}: ${cause.message}` : message, cause && { cause });
  }
}

// What the server answers instead of a reply.

export class ErrorReply extends WebWireError {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class InternalError extends WebWireError {
  constructor() {
    super('the server failed');
  }
}

export class ShutdownError extends WebWireError {
  constructor() {
    super('the server is shutting down');
  }
}

export class SessionNotFoundError extends WebWireError {
  constructor() {
    super('no such session');
  }
}

export class SessionFullError extends WebWireError {
  constructor() {
    super('the session has too many connections');
  }
}

export class SessionsDisabledError extends WebWireError {
  constructor() {
    super('the server has no sessions');
  }
}

// executed is no, yes or maybe.
export class FailureError extends WebWireError {
  constructor(code, executed, message) {
    super(message || `failed with code ${code}`);
    this.code = code;
    this.executed = executed;
  }
}

export class ReplyLostError extends FailureError {
  constructor() {
    super(11, 'yes', 'executed, and the reply is lost');
  }
}

// What the client finds.

export class DisconnectedError extends WebWireError {
  constructor(sent, cause) {
    const outcome = sent ? 'the server may have executed the request' : 'nothing was sent';
    super(`disconnected, ${outcome}`, cause);
    this.sent = sent;
  }
}

export class TimeoutError extends WebWireError {
  constructor(after, cause, sent = !cause) {
    super(`${cause ? 'not connected' : 'no reply'} within ${after} ms`, cause);
    this.sent = sent;
    this.after = after;
  }
}

export class VersionError extends WebWireError {
  constructor(server, client) {
    const known = server.filter(Boolean);
    super(`no common version: server speaks ${known.join(', ') || 'another'}, client ${client.join(', ')}`);
    this.server = known;
    this.client = client;
  }
}

export class ClosedError extends WebWireError {
  constructor() {
    super('the client is closed');
  }
}

export class MalformedError extends WebWireError {}

export class TooLongError extends WebWireError {
  constructor(size, limit) {
    super(`a message of ${size} bytes, the server takes ${limit}`);
    this.size = size;
    this.limit = limit;
  }
}

export class QueueFullError extends WebWireError {
  constructor(limit) {
    super(`more than ${limit} bytes wait to be sent`);
    this.limit = limit;
  }
}

// lost is how many publications are lost, zero if that is not known.
export class GapError extends WebWireError {
  constructor(topic, lost, position) {
    super(`${lost || 'some'} publications of ${topic} are lost`);
    this.topic = topic;
    this.lost = lost;
    this.position = position;
  }
}

// Why a connection ended or could not be made.

export class CloseError extends WebWireError {
  constructor(code, reason, cause) {
    super(`closed with ${code} ${reason}`.trim(), cause);
    this.code = code;
    this.reason = reason;
  }
}

export class RefusedError extends WebWireError {
  constructor(status, retryAfter) {
    super(`refused with HTTP status ${status}`);
    this.status = status;
    this.retryAfter = retryAfter; // milliseconds that the server asks to wait
  }
}

// The names survive minification, and may be assigned as those of all errors.
const classes = {
  WebWireError, ErrorReply, FailureError, InternalError, ShutdownError, SessionNotFoundError, SessionFullError,
  SessionsDisabledError, DisconnectedError, TimeoutError, VersionError, ClosedError, MalformedError, TooLongError,
  QueueFullError, CloseError, RefusedError, ReplyLostError, GapError,
};
for (const [name, type] of Object.entries(classes)) type.prototype.name = name;
