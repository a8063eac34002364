package observe

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// HTTP says under which names a build counts its requests. The zero value asks for
// those of the reference backend, which are the usual ones.
type HTTP struct {
	// Requests is the counter of requests; "http_requests_total" when empty. A build
	// whose counter tells no path has a better one in its histogram:
	// "http_request_duration_seconds_count".
	Requests string
	// Duration is the histogram of the seconds that answers took, without its _bucket;
	// "http_request_duration_seconds" when empty. It must be a classic one.
	Duration string
	// Status is the label of the status code, or of its class such as "5xx"; "status"
	// when empty.
	Status string
	// Routes are the labels that may tell the path; "route", "path" and "handler" when
	// nil. A build that has none of them keeps every request.
	Routes []string
	// Excluded are the paths that nobody but Kubernetes and Prometheus asks for: fast
	// answers to probes would hide slow ones to users, and a readiness probe that says
	// no is not a failed request.
	Excluded []string
}

// DefaultHTTP is what the zero value asks for.
func DefaultHTTP() HTTP {
	return HTTP{
		Requests: "http_requests_total", Duration: "http_request_duration_seconds", Status: "status",
		Routes: []string{"route", "path", "handler"},
	}
}

func (h HTTP) withDefaults() HTTP { return room.Fill(h, DefaultHTTP()) }

// users selects the requests of users. Builds write a path as it is, or as a name:
// "/api/health" and "api_health" are the same.
func (h HTTP) users() string {
	var paths []string
	for _, p := range h.Excluded {
		parts := strings.FieldsFunc(p, func(r rune) bool { return !isWord(r) })
		if len(parts) == 0 {
			continue // it would stand for every request whose path no label tells
		}
		if path := "/?" + strings.Join(parts, "[^a-zA-Z0-9]+"); !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return "$job"
	}
	selector := "$job"
	for _, label := range h.Routes {
		selector += fmt.Sprintf(",%s!~%q", label, strings.Join(paths, "|"))
	}
	return selector
}

func isWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// nearEnough is how much above the objective a bucket may lie that stands for it. The
// default buckets of Prometheus' libraries lie at most 2.5 times apart.
const nearEnough = 3

// buckets selects the buckets that may stand for a bound of so many seconds: those
// from it on, as far as near enough. Requests are counted in every bucket above their
// time, so the least of the selected is the nearest.
func buckets(seconds float64) string {
	// More digits than any bound has would only be those that binary fractions leave.
	far := math.Round(seconds*nearEnough*1e9) / 1e9
	return fmt.Sprintf("le=~%q,le!~%q", from(seconds), from(far))
}

// from is the regular expression of the decimal numbers from n on, n > 0. What is
// written with an exponent, or as +Inf, is not among them.
func from(n float64) string {
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(n, 'f', -1, 64), ".")
	var larger []string
	// A whole number that is larger is so by its length or by a digit.
	larger = append(larger, fmt.Sprintf("[1-9][0-9]{%d,}", len(whole)))
	for i, digit := range whole {
		if digit < '9' {
			larger = append(larger, whole[:i]+digits(digit+1)+strings.Repeat("[0-9]", len(whole)-i-1))
		}
	}
	all := []string{"(" + strings.Join(larger, "|") + ")([.][0-9]+)?"}
	if fraction == "" {
		return strings.Join(append(all, whole+"([.][0-9]+)?"), "|")
	}
	for i, digit := range fraction {
		if digit < '9' {
			all = append(all, whole+"[.]"+fraction[:i]+digits(digit+1)+"[0-9]*")
		}
	}
	return strings.Join(append(all, whole+"[.]"+fraction+"[0-9]*"), "|")
}

// digits is the class of the digits from one on.
func digits(from rune) string {
	if from == '9' {
		return "9"
	}
	return "[" + string(from) + "-9]"
}
