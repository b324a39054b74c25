package protocol

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Version is a published version of the protocol. Its methods are the codec. The
// zero Version is none: its Parse and Append fail.
type Version struct{ Major, Minor byte }

// The published versions (sections 3 to 7 of PROTOCOL.md).
var (
	V1_2 = Version{1, 2}
	V1_3 = Version{1, 3}
	V1_4 = Version{1, 4}
	V1_5 = Version{1, 5}
	V2_0 = Version{2, 0}
)

// ErrVersion is what the methods of a Version that this package does not know
// return, and ParseVersion for a text that is no known version.
var ErrVersion = errors.New("protocol: unknown version")

// Versions returns all known versions, the newest first.
func Versions() []Version { return []Version{V2_0, V1_5, V1_4, V1_3, V1_2} }

// String returns the version as the protocol writes it, "1.2" for instance.
func (v Version) String() string {
	return strconv.Itoa(int(v.Major)) + "." + strconv.Itoa(int(v.Minor))
}

// Known reports whether this package speaks v.
func (v Version) Known() bool { return v.spec() != nil }

// ParseVersion returns the known version that text names, "1.2" for instance.
func ParseVersion(text string) (Version, error) {
	for _, v := range Versions() {
		if v.String() == text {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("%w %q", ErrVersion, text)
}

const tokenPrefix = "webwire-"

// Token returns the name under which two ends agree on the version while they
// connect: "webwire-2.0" as Sec-WebSocket-Protocol (section 2.3).
func (v Version) Token() string { return tokenPrefix + v.String() }

// ParseToken returns the known version that a token names.
func ParseToken(token string) (Version, error) {
	text, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return Version{}, fmt.Errorf("%w: token %q", ErrVersion, token)
	}
	return ParseVersion(text)
}

// spec returns what distinguishes the version, nil for an unknown one.
func (v Version) spec() *spec {
	switch uint16(v.Major)<<8 | uint16(v.Minor) {
	case 0x0102:
		return &spec1_2
	case 0x0103:
		return &spec1_3
	case 0x0104:
		return &spec1_4
	case 0x0105:
		return &spec1_5
	case 0x0200:
		return &spec2_0
	}
	return nil
}
