// Package framed is what the transports have in common that put each message into
// a frame of its own on a byte stream: the limits of time, the end of a connection
// and the buffers. What frames look like is the transport's own business.
//
// Such a transport embeds [Conn] in its connection, which then has Ping, Close,
// Abort, SetLimits and RemoteAddr, and adds Read and Write:
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
// It says the rest, what control frames look like, by implementing [Frames].
package framed
