package protocol

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is a version of the protocol. Its methods are the codec. The zero
// Version stands for none: its Parse and Append fail. Versions compare in the
// order in which they were published.
type Version uint16 // the major number in the high byte, the minor in the low one

// The versions (sections 3 to 7 and 11 of PROTOCOL.md).
const (
	V1_2 Version = 0x0102
	V1_3 Version = 0x0103
	V1_4 Version = 0x0104
	V1_5 Version = 0x0105
	V2_0 Version = 0x0200
	V3_0 Version = 0x0300
)

// Versions returns the versions that this package has a codec for, newest first. The
// servers of this module offer all of them.
func Versions() []Version { return []Version{V3_0, V2_0, V1_5, V1_4, V1_3, V1_2} }

// Major returns the number before the dot, 0 to 255.
func (v Version) Major() int { return int(v >> 8) }

// Minor returns the number after the dot, 0 to 255.
func (v Version) Minor() int { return int(v & 0xff) }

// String returns the version as the protocol writes it, such as "1.2".
func (v Version) String() string {
	return strconv.Itoa(v.Major()) + "." + strconv.Itoa(v.Minor())
}

// Known reports whether this package has a codec for v.
func (v Version) Known() bool { return v.spec() != nil }

// ParseVersion returns the known version with the given name, such as "1.2".
func ParseVersion(text string) (Version, error) {
	for _, v := range Versions() {
		if v.String() == text {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%w %q", ErrVersion, text)
}

const tokenPrefix = "webwire-"

// Token returns the name by which client and server negotiate the version when
// they connect, such as "webwire-2.0" in Sec-WebSocket-Protocol (section 2.3).
func (v Version) Token() string { return tokenPrefix + v.String() }

// ParseToken returns the known version with the given Token.
func ParseToken(token string) (Version, error) {
	text, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return 0, fmt.Errorf("%w: token %q", ErrVersion, token)
	}
	return ParseVersion(text)
}

// spec returns the tables of the version, or nil if it is unknown.
func (v Version) spec() *spec {
	switch v {
	case V1_2:
		return &spec1_2
	case V1_3:
		return &spec1_3
	case V1_4:
		return &spec1_4
	case V1_5:
		return &spec1_5
	case V2_0:
		return &spec2_0
	case V3_0:
		return &spec3_0
	}
	return nil
}
