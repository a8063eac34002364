package settings

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// What no container and no volume of a stack is smaller or larger than: amounts beyond
// have a unit that nobody meant.
var (
	leastBytes = resource.MustParse("1M")
	mostBytes  = resource.MustParse("1Pi")
	leastCores = resource.MustParse("1m")
	mostCores  = resource.MustParse("192")
	// fewCores is what a limit has to be for a container to start at all.
	fewCores = resource.MustParse("10m")
)

// bytes reads an amount of memory or storage.
func bytes(value, sub string, fail failer) (resource.Quantity, bool) {
	q, ok := quantity(value, sub, binary(value), fail)
	switch {
	case !ok || q.Sign() <= 0: // zero and below have a message of their own
		return q, ok
	case q.Cmp(leastBytes) < 0 && strings.HasSuffix(value, "m"):
		fail(sub, "%q is thousandths of a byte%s", value, binary(value))
	case q.Cmp(leastBytes) < 0:
		fail(sub, "%q is less than %s%s", value, leastBytes.String(), binary(value))
	case q.Cmp(mostBytes) > 0:
		fail(sub, "%q is more than %s: write e.g. 512Mi or 2Gi", value, mostBytes.String())
	default:
		return q, true
	}
	return q, false
}

// cores reads an amount of CPU.
func cores(value, sub string, fail failer) (resource.Quantity, bool) {
	q, ok := quantity(value, sub, "", fail)
	switch {
	case !ok || q.Sign() <= 0:
		return q, ok
	case q.Cmp(leastCores) < 0:
		fail(sub, "%q is less than %s, a thousandth of a core: write e.g. 500m or 2", value, leastCores.String())
	case q.Cmp(mostCores) > 0:
		fail(sub, "%q is more than %s cores, did you mean %sm?", value, mostCores.String(), number(value))
	default:
		return q, true
	}
	return q, false
}

// written is an amount as people write it. Kubernetes' parser also takes exponents of
// nine digits, and then computes such a number.
var written = regexp.MustCompile(`^[+-]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})([numkKMGTPE]i?|[eE][+-]?\d{1,2})?$`)

func quantity(value, sub, suggestion string, fail failer) (resource.Quantity, bool) {
	if written.MatchString(value) {
		if q, err := resource.ParseQuantity(value); err == nil {
			return q, true
		}
	}
	fail(sub, "%q is not an amount: write e.g. 500m for CPU, 512Mi or 2Gi for memory and storage%s", value, suggestion)
	return resource.Quantity{}, false
}

// amount is a number with what somebody may write for a unit.
var amount = regexp.MustCompile(`^\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*$`)

// binary suggests what was meant by a value; "" where nobody knows.
func binary(value string) string {
	m := amount.FindStringSubmatch(value)
	if m == nil {
		return ""
	}
	units := map[string]string{
		"": "Mi", "m": "Mi", "mb": "Mi", "mib": "Mi", "g": "Gi", "gb": "Gi", "gib": "Gi", "t": "Ti", "tb": "Ti", "tib": "Ti",
	}
	unit, known := units[strings.ToLower(m[2])]
	if !known {
		return ""
	}
	return ", did you mean " + m[1] + unit + "?"
}

// number is the number of an amount.
func number(value string) string {
	if m := amount.FindStringSubmatch(value); m != nil {
		return m[1]
	}
	return "500"
}
