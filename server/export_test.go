package server

import "time"

// SetConnected changes when a connection was accepted. If another node accepted it, its time is
// that of the wall clock, and a set clock changes how long ago that was.
func SetConnected(c *Conn, t time.Time) { c.info.Connected = t }
