// What requests and the making of connections fail with. Each class has its name as
// text, which survives minification.

export class WebWireError extends Error {
  constructor(message, cause) {
    super(message, cause === undefined ? undefined : { cause });
  }

  get name() {
    return 'WebWireError';
  }
}

// What the server answers instead of a reply.

export class ErrorReply extends WebWireError {
  constructor(code, message) {
    super(message);
    this.code = code;
  }

  get name() {
    return 'ErrorReply';
  }
}

export class InternalError extends WebWireError {
  constructor() {
    super('the server failed to handle the request');
  }

  get name() {
    return 'InternalError';
  }
}

export class ShutdownError extends WebWireError {
  constructor() {
    super('the server is shutting down');
  }

  get name() {
    return 'ShutdownError';
  }
}

export class SessionNotFoundError extends WebWireError {
  constructor() {
    super('there is no such session');
  }

  get name() {
    return 'SessionNotFoundError';
  }
}

export class SessionFullError extends WebWireError {
  constructor() {
    super('the session has as many connections as it may');
  }

  get name() {
    return 'SessionFullError';
  }
}

export class SessionsDisabledError extends WebWireError {
  constructor() {
    super('the server has no sessions');
  }

  get name() {
    return 'SessionsDisabledError';
  }
}

// What the client finds.

export class DisconnectedError extends WebWireError {
  constructor(sent, cause) {
    const outcome = sent ? 'the server may have executed the request' : 'nothing was sent';
    super(`disconnected, ${outcome}${cause ? `: ${cause.message}` : ''}`, cause);
    this.sent = sent;
  }

  get name() {
    return 'DisconnectedError';
  }
}

export class TimeoutError extends WebWireError {
  constructor(after, cause) {
    super(`${cause ? 'not connected' : 'no reply'} within ${after} ms${cause ? `: ${cause.message}` : ''}`, cause);
    this.after = after;
  }

  get name() {
    return 'TimeoutError';
  }
}

export class VersionError extends WebWireError {
  constructor(server, client) {
    super(`no common version of the protocol: server speaks ${server.join(', ') || 'another'}, client ${client.join(', ')}`);
    this.server = server;
    this.client = client;
  }

  get name() {
    return 'VersionError';
  }
}

export class ClosedError extends WebWireError {
  constructor() {
    super('the client is closed');
  }

  get name() {
    return 'ClosedError';
  }
}

export class MalformedError extends WebWireError {
  get name() {
    return 'MalformedError';
  }
}

export class TooLongError extends WebWireError {
  constructor(size, limit) {
    super(`a message of ${size} bytes, the server takes ${limit}`);
    this.size = size;
    this.limit = limit;
  }

  get name() {
    return 'TooLongError';
  }
}

export class QueueFullError extends WebWireError {
  constructor(limit) {
    super(`more than ${limit} bytes wait to be sent`);
    this.limit = limit;
  }

  get name() {
    return 'QueueFullError';
  }
}

// Why a connection ended or could not be made.

export class CloseError extends WebWireError {
  constructor(code, reason, cause) {
    super(`connection closed with ${code}${reason ? ` ${reason}` : ''}${cause ? `: ${cause.message}` : ''}`, cause);
    this.code = code;
    this.reason = reason;
  }

  get name() {
    return 'CloseError';
  }
}

export class RefusedError extends WebWireError {
  constructor(status, retryAfter) {
    super(`the server refused with HTTP status ${status}`);
    this.status = status;
    this.retryAfter = retryAfter; // milliseconds that the server asks to wait
  }

  get name() {
    return 'RefusedError';
  }
}
