// Package webwiretest helps to test programs that use WebWire: a real server and real clients in
// one process, over a network in memory that fails when the test says so.
//
//	func TestGreet(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			c := webwiretest.Serve(t, newServer()).Client(client.Options{})
//			reply, err := c.Request(t.Context(), "greet", protocol.Text("gopher"))
//			...
//		})
//	}
//
// Everything works in the bubbles of testing/synctest, where time is virtual: a timeout of an
// hour passes as soon as all goroutines wait. It works outside of them too, in real time.
//
// A [Network] leads to a server, and a [Link] connects one client to it. A link can break,
// become slow, or be offline for a time. [Network.Storm] breaks all links at random, and the
// same way for the same seed. [Signals] collects what a server sends, and [Until] waits for a
// condition.
//
// Suites for transports, stores and engines of your own are in transport/transporttest,
// session/sessiontest and engine/enginetest.
package webwiretest
