// Package handover has tests of connections that move from node to node, in virtual time:
// several servers share an engine, and clients come back to any of them.
package handover
