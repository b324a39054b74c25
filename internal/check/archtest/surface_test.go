package archtest_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// surfaces are the public packages with the number of lines that `go doc -short` should
// print for each, and why it prints more. A name that is exported without a reason here is
// an error: what is exported cannot be taken back.
var surfaces = []struct {
	pkg   string
	lines int
	over  []reason
}{
	{pkg: "protocol", lines: 20, over: []reason{
		{"The body of each message of 3.0 is a type of its own, so that no field is a map.", []string{
			"CancelBody", "DrainBody", "GapBody", "HelloBody", "PresenceBody", "SubscribeBody", "WelcomeBody",
		}},
		{"The numbers in those bodies have names.", []string{
			"CancelReason", "DrainReason", "Executed", "FailureCode", "Outcome", "PresenceOp", "Position",
		}},
		{"Secrets of a connection do not print themselves.", []string{"ConnID", "Secret", "Resume"}},
		{"The head of a message is read without copying it.", []string{"Head", "Tag"}},
		{"Trace contexts of W3C are binary on the wire and text elsewhere.", []string{"TraceContext"}},
		{"An error of the peer is told from one of this process.", []string{"FailureError", "PeerError"}},
		{"Codes of errors that the library itself answers are matched by name.", []string{"CodeNotFound", "CodeOf"}},
		{"Flow control of streams counts it at both ends.", []string{"ItemOverhead"}},
		{"Tools show which bytes of a message mean what.", []string{"Part"}},
		{"Packages protocol and session share one struct.", []string{"Session"}},
		{"UTF-16 is an encoding of its own on the wire.", []string{"UTF16Text"}},
		{"Servers and clients agree on the rules of a connection.", []string{"Conf", "Metadata", "MetadataMethod"}},
	}},
	{pkg: "transport", lines: 8, over: []reason{
		{"Options of the three ways to make a connection can grow.", []string{"AcceptOptions", "DialOptions", "UpgradeOptions"}},
		{"Optional interfaces survive wrapping, because wrappers are looked through.", []string{
			"As", "Monitor", "Negotiator", "Peeker", "SilenceAllower", "TextAccepter",
		}},
		{"Each way in is an interface of its own: HTTP, a listener, metadata.", []string{"Upgrader", "Listener", "Prober"}},
		{"Errors with data, and sentinels for what only a person can change.", []string{
			"CloseError", "RefusedError", "PartialError", "ErrConfig", "ErrOrigin",
		}},
		{"Limits that transports share are written once.", []string{"MaxReason", "MaxTimeout", "MinReadRate", "CutReason"}},
	}},
	{pkg: "session", lines: 12, over: []reason{
		{"Stores of files and of memory are checked alike.", []string{"MaxKeyLength", "CheckKey"}},
	}},
	{pkg: "engine", lines: 21},
	{pkg: "webwiretest", lines: 7},
	{pkg: "server", lines: 24, over: []reason{
		{"The server asks clients as they ask it, and sends metadata.", []string{"Call", "WithMeta"}},
		{"Middleware adds to the metadata of a context and leaves the rest in place.", []string{"Meta"}},
		{"A streamed reply has a handler of its own, with a form for JSON.", []string{"StreamHandler", "JSONStream"}},
		{"A topic is a value, with what is in it and what it can do.", []string{"Topic", "TopicOptions", "Overflow", "Member", "Message"}},
	}},
	{pkg: "client", lines: 14, over: []reason{
		{"What failed, and whether it was executed, is told by types and one function.", []string{"MaybeExecuted", "RepeatedError", "TimeoutError"}},
		{"The default of Options.GiveUp can be called by one that adds to it.", []string{"GiveUp"}},
		{"Signals have a handler and a Mux as on the server.", []string{"Handler", "Mux", "Signal", "SignalHandler"}},
		{"Requests of the server have a handler as on the server.", []string{"Request", "RequestHandler"}},
		{"A streamed reply has a form for JSON, as a request has.", []string{"CallStream"}},
		{"Metadata is sent by the context, as on the server.", []string{"WithMeta", "Meta"}},
		{"A subscription to a topic is a thing of its own, and what it gets has types.", []string{
			"Subscription", "SubscribeOptions", "Message", "GapError", "PresenceEvent",
		}},
		{"A key can be kept while the program does not run.", []string{"KeyFile", "KeyStore"}},
	}},
}

// reason says why names are exported although the package has its number of lines without
// them.
type reason struct {
	why   string
	names []string
}

func TestSurface(t *testing.T) {
	for _, s := range surfaces {
		t.Run(s.pkg, func(t *testing.T) {
			cmd := exec.Command("go", "doc", "-short", "./"+s.pkg)
			cmd.Dir = "../../.."
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			allowed := s.lines
			for _, r := range s.over {
				for _, name := range r.names {
					n := len(about(lines, name))
					if n == 0 {
						t.Errorf("%s does not exist: %s", name, r.why)
					}
					allowed += n
				}
			}
			if len(lines) > allowed {
				t.Errorf("go doc -short prints %d lines, %d have a reason:\n%s", len(lines), allowed, out)
			}
		})
	}
}

// about returns the lines that declare a name, or a constant or function of the type of
// that name.
func about(lines []string, name string) (about []string) {
	declares := regexp.MustCompile(`^(type|func|var|const) ` + name + `\b|^    const \w+ ` + name + `\b|^    func (.*[ (*])?` + name + `\b`)
	for _, line := range lines {
		if declares.MatchString(line) {
			about = append(about, line)
		}
	}
	return about
}
