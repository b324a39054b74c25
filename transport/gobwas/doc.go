// Package gobwas carries WebWire over WebSocket (RFC 6455) with reading and
// writing made for many small messages. It is for those who want the last factor
// of speed; handshake and masking are those of github.com/gobwas/ws. It is a
// module of its own, so that only who wants it gets the library.
//
// It is used as transport/websocket is, and keeps the same promises: the same
// fields, the same rules about who may connect, the same limits.
//
//	srv := server.New(server.Options{Upgrader: &gobwas.Upgrader{}})
//
//	c := client.New(&gobwas.Dialer{URL: "wss://example.com/chat"}, client.Options{})
//
// # Where the speed comes from
//
// What a busy connection spends its time on is system calls. All messages of a
// Write are put into one buffer and leave in one call, large ones from where
// they are; what arrives is taken in one call as well, and each message goes
// from there into the caller's buffer and is unmasked in place. Nothing is
// allocated for a message in either direction, and nothing is handed from one
// goroutine to another.
//
// An idle connection has the goroutine that reads, a buffer of 256 bytes, and
// none to write. A busy one borrows larger buffers: to write for the time of a
// Write, to read, 16 KiB, while more than 256 bytes come again and again. If it
// falls silent then it keeps the latter until three short messages or pings have
// come.
//
// # How strictly RFC 6455 is followed
//
// To the letter, with two exceptions. Text messages, if they are accepted at
// all, are returned as the bytes they consist of, whether or not these are
// UTF-8: the published versions of WebWire send what they please in them. Pings
// that come faster than their answers can be sent share one answer, that to the
// last of them, which section 5.5.3 permits.
//
// Compression is not negotiated. What a client sends is masked with keys from
// the random generator of the runtime, which nobody can predict who sees the
// earlier ones.
package gobwas
