package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"

	"github.com/webwire-go/webwire/transport"
)

// RepeatedError is the error of an attempt to connect that was refused with the same HTTP
// status, or the same TLS alert, as the attempt before it.
type RepeatedError struct {
	Times int   // number of such attempts in a row, at least 2
	Err   error // of the last one
}

func (e *RepeatedError) Error() string {
	return fmt.Sprintf("%v (%d times in a row)", e.Err, e.Times)
}

func (e *RepeatedError) Unwrap() error { return e.Err }

// GiveUp reports whether trying again would not help after an attempt to connect failed,
// or a connection ended, with err. It is the default of Options.GiveUp.
//
// It returns true for a wrong configuration, a *VersionError, certificates that are
// refused, a close status that is final (see transport.Status), redirects, and permanent
// HTTP statuses such as 400 and 410. For HTTP 401, and for TLS alerts that may mean a
// missing certificate, it returns true only if err is a *RepeatedError: the next attempt
// may have a new token. It returns false for anything else, including HTTP 403, 404 and
// 421, which gateways answer while a server is replaced.
func GiveUp(err error) bool {
	var again *RepeatedError
	switch classify(err) {
	case final:
		return true
	case repeated:
		return errors.As(err, &again)
	}
	return false
}

// class says what a failure to connect means for the next attempt. testdata/failures.json
// has the same table for the clients of both languages.
type class uint8

const (
	passing  class = iota // the next attempt may succeed
	repeated              // as passing, but final if the same comes twice in a row
	final                 // only a person can change it
)

// classify returns the class of the error of an attempt, or of the end of a
// connection.
func classify(err error) class {
	var closed *transport.CloseError
	var refused *transport.RefusedError
	switch {
	case misconfigured(err):
		return final
	case errors.As(err, &refused):
		return refusals(refused.StatusCode)
	case errors.As(err, &closed) && !closed.Local && closed.Status.Final():
		return final
	}
	return alerts(alert(err))
}

// refusals returns the class of an HTTP status. Gateways answer 403, 404, 421 and 499
// for a moment while the server behind them is replaced.
func refusals(status int) class {
	switch status {
	case http.StatusUnauthorized:
		return repeated
	case http.StatusBadRequest, http.StatusPaymentRequired, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusProxyAuthRequired, http.StatusGone, http.StatusLengthRequired, http.StatusRequestEntityTooLarge,
		http.StatusRequestURITooLong, http.StatusUnsupportedMediaType, http.StatusExpectationFailed,
		http.StatusUpgradeRequired, http.StatusRequestHeaderFieldsTooLarge, http.StatusUnavailableForLegalReasons,
		http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return final
	}
	if status >= 300 && status < 400 {
		return final // redirects are not followed
	}
	return passing
}

// misconfigured reports whether err says that the two ends do not fit together: the
// options, the versions, or TLS.
func misconfigured(err error) bool {
	var version *VersionError
	var untrusted *tls.CertificateVerificationError
	var plain tls.RecordHeaderError // the port speaks no TLS
	switch {
	case errors.Is(err, transport.ErrConfig), errors.As(err, &version):
		return true
	case errors.As(err, &untrusted), errors.As(err, &plain), errors.Is(err, http.ErrSchemeMismatch):
		return true
	}
	return false
}

// alert returns the TLS alert by which the server ended the handshake, zero if there is
// none.
func alert(err error) uint64 {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" {
		return 0
	}
	if v := reflect.ValueOf(remote.Err); v.Kind() == reflect.Uint8 { // a type that crypto/tls does not export
		return v.Uint()
	}
	return 0
}

// alerts returns the class of a TLS alert.
func alerts(alert uint64) class {
	switch alert {
	case 42, 43, 44, 45, 46, 48, 49, 116: // bad to unknown certificate, unknown CA, access denied, certificate required
		return final
	case 40, 70: // handshake failure, which may be a missing certificate; protocol version
		return repeated
	}
	return passing
}

// kind returns a number that refusals share if they are the same, zero for other errors.
func kind(err error) uint64 {
	var refused *transport.RefusedError
	if errors.As(err, &refused) {
		return uint64(refused.StatusCode)
	}
	return alert(err)
}

// noSuchEndpoint reports whether err is an answer by which servers refuse what they
// do not know: the method that asks for metadata, or a version.
func noSuchEndpoint(err error) bool {
	var refused *transport.RefusedError
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return refused.StatusCode >= 400 && refused.StatusCode < 500
}
