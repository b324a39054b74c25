// Package framed implements what the transports have in common that put each message into
// frames on a byte stream: time limits, closing a connection, and buffers. The format of
// the frames is up to the transport.
//
// A transport embeds [Conn] in its connection type, which then has the methods Ping, Close,
// Abort, LocalAddr, RemoteAddr, Arrivals and AllowSilence, and adds Protocol, Read and Write:
//
//	func (c *conn) Read(buf []byte) ([]byte, error) {
//		if err := c.BeginRead(); err != nil {
//			return nil, err
//		}
//		msg, err := c.nextMessage(buf) // with c.In and c.Control
//		return msg, c.EndRead(err)
//	}
//
//	func (c *conn) Write(msgs ...[]byte) error {
//		if err := c.BeginWrite(); err != nil {
//			return err
//		}
//		b := c.Batch()
//		for _, msg := range msgs {
//			b.Buf = appendHeader(b.Room(headerSize), len(msg))
//			b.Add(msg)
//		}
//		return c.EndWrite(b.Send())
//	}
//
// It describes the format of its control frames by implementing [Frames].
package framed
