// Package sim runs clients and servers over a network that fails, in virtual time,
// and checks that what happened may happen.
//
// A schedule is made of a seed: a few clients that send requests and signals, log
// in and out, connect and are closed; servers that signal back, drop clients,
// close sessions and are replaced by new ones; and a network that cuts
// connections, falls silent, is slow and refuses. Clients and servers stand still, as
// processes whose machine sleeps. In 3.0 clients also cancel
// requests, and read streams slowly or leave them early, and servers ask clients; sockets are
// cut at chosen messages, clients stay away until more was sent than is kept for them, and
// thieves try to go on with the connections of others. Then the faults end, and
// everything has to work again within a bounded time. While that happens a
// history is written; at its end the rules of check.go are applied to it. The messages
// of 3.0 are checked by those of wire.go when they pass.
//
//	make sim               10,000 schedules
//	make sim SEED=1234     one schedule, again and again
//
// The seed decides what is done and when, in virtual time. What happens at the very
// same instant is up to the scheduler of Go, so that a schedule which violates a
// rule may have to be run several times to do so again.
package sim
