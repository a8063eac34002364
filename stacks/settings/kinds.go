package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Text declares a line of text.
func (g *Group) Text(p *string, key, description string, options ...Option) {
	s := g.declare(Text, key, *p, description, options)
	if p == (*string)(g.set.target) {
		g.set.targetKey = key
	}
	s.read = func(raw string, fail failer) {
		if v := strings.TrimSpace(raw); s.text(v, fail) {
			*p = v
		}
	}
}

// text checks a text against its bounds.
func (s *Setting) text(v string, fail failer) bool {
	unset := v == "" && s.Default == ""
	if len(s.bounds.oneOf) > 0 && !unset && !slices.Contains(s.bounds.oneOf, v) {
		fail("", "%q is not one of %s", v, strings.Join(s.bounds.oneOf, ", "))
		return false
	}
	return unset || passes(s.checks, v, fail)
}

func passes(checks []func(string) error, v string, fail failer) bool {
	for _, check := range checks {
		if err := check(v); err != nil {
			fail("", "%v", err)
			return false
		}
	}
	return true
}

// Bool declares a switch.
func (g *Group) Bool(p *bool, key, description string, options ...Option) {
	s := g.declare(Toggle, key, *p, description, options)
	s.read = func(raw string, fail failer) {
		v, err := strconv.ParseBool(strings.TrimSpace(raw))
		if err != nil {
			fail("", "%q is neither true nor false", raw)
			return
		}
		*p = v
	}
}

// Int declares a whole number.
func (g *Group) Int(p *int, key, description string, options ...Option) {
	s := g.declare(Number, key, *p, description, options)
	if !s.bounds.limited {
		panic("settings: " + key + " is a number without bounds: say what it lies between")
	}
	s.read = func(raw string, fail failer) {
		n, err := strconv.Atoi(strings.TrimSpace(raw))
		b := s.bounds
		zero := b.zero != "" && n == 0
		if err != nil || !zero && (n < b.lowest || n > b.most) {
			text := fmt.Sprintf("%q is out of range: set a whole number from %d to %d", raw, b.lowest, b.most)
			if b.zero != "" {
				text += ", or 0 " + b.zero
			}
			fail("", "%s", text)
			return
		}
		*p = n
	}
}

// Port declares a TCP port.
func (g *Group) Port(p *int, key, description string, options ...Option) {
	g.Int(p, key, description, append([]Option{Between(1, 65535)}, options...)...)
}

// Fraction declares a number from 0 to 1.
func (g *Group) Fraction(p *float64, key, description string, options ...Option) {
	s := g.declare(Fraction, key, strconv.FormatFloat(*p, 'g', -1, 64), description, options)
	s.read = func(raw string, fail failer) {
		v := strings.TrimSpace(raw)
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || !(f >= 0 && f <= 1) {
			fail("", "%q is not a fraction: set a number from 0 to 1, e.g. 0.1", v)
			return
		}
		*p = f
	}
}

// path is that of an HTTP request without query: whatever ASCII shows.
var path = regexp.MustCompile(`^/[!"$->@-~]*$`)

// none is how a stack says that a build has no such path.
const none = "-"

// Path declares the path of an HTTP request; "-" means none, and reads as "".
func (g *Group) Path(p *string, key, description string, options ...Option) {
	def := *p
	if def == "" {
		def = none
	}
	s := g.declare(Path, key, def, description, options)
	s.read = func(raw string, fail failer) {
		switch v := strings.TrimSpace(raw); {
		case v == none:
			*p = ""
		case !path.MatchString(v):
			fail("", "%q is not a path: start it with a slash, e.g. /health, or set - for none", v)
		case passes(s.checks, v, fail):
			*p = v
		}
	}
}

// List declares a list of strings.
func (g *Group) List(p *[]string, key, description string, options ...Option) {
	s := g.declare(List, key, append([]string{}, *p...), description, options)
	s.read = func(raw string, fail failer) {
		var items []string
		if err := json.Unmarshal([]byte(raw), &items); err != nil {
			fail("", "%q is not a list of strings: set it in the stack file, or with `pulumi config set --path '%s[0]' VALUE`", raw, key)
			return
		}
		for _, v := range items {
			passes(s.each, v, fail)
		}
		*p = items
	}
}

// CIDR is for Each: networks in their usual form.
func CIDR(v string) error {
	p, err := netip.ParsePrefix(v)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a CIDR: write e.g. 203.0.113.0/24", v)
	case p.Masked() != p:
		return fmt.Errorf("%q has bits set beyond its prefix: write %s", v, p.Masked())
	}
	return nil
}

// ServiceName is for Each: names that a Service can have.
func ServiceName(v string) error {
	if problems := validation.IsDNS1035Label(v); len(problems) > 0 {
		return fmt.Errorf("%q cannot be a Service's name: %s", v, problems[0])
	}
	return nil
}

// Variables declares environment variables by their names.
func (g *Group) Variables(p *map[string]string, key, description string, options ...Option) {
	def := map[string]any{}
	for k, v := range *p {
		def[k] = v
	}
	s := g.declare(Variables, key, def, description, options)
	s.read = func(raw string, fail failer) {
		var given map[string]any
		if err := Decode(raw, &given); err != nil {
			fail("", "it is not an object of strings: set it in the stack file, or with `pulumi config set --path %s.NAME VALUE`", key)
			return
		}
		out := map[string]string{}
		for _, k := range slices.Sorted(maps.Keys(given)) {
			sub := func(_, format string, args ...any) { fail("."+k, format, args...) }
			if problems := validation.IsEnvVarName(k); len(problems) > 0 {
				sub("", "the name cannot be a variable: %s", problems[0])
			}
			passes(s.each, k, sub)
			switch x := given[k].(type) {
			case string:
				out[k] = x
			case bool, json.Number:
				out[k] = fmt.Sprint(x)
			default:
				sub("", "the value is not a string")
			}
		}
		*p = out
	}
}

// Object declares an object that a reader of its own understands, e.g. a part of a
// Kubernetes object; it is empty by default. Each line of the error is a problem.
func (g *Group) Object(key, description string, read func(raw string) error, options ...Option) {
	s := g.declare(Structure, key, map[string]any{}, description, options)
	s.read = func(raw string, fail failer) {
		if err := read(raw); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				fail("", "%s", line)
			}
		}
	}
}

// Decode reads one value of JSON; it keeps numbers as they were written and refuses trailing data.
func Decode(text string, into any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one value")
	}
	return nil
}

// Quantity declares an amount such as the size of a volume.
func (g *Group) Quantity(p *resource.Quantity, key, description string, options ...Option) {
	s := g.declare(Amount, key, p.String(), description, options)
	s.read = func(raw string, fail failer) {
		v := strings.TrimSpace(raw)
		q, ok := bytes(v, "", fail)
		if ok && s.enough(q, strconv.Quote(v), fail) {
			*p = q
		}
	}
}

// enough checks an amount, as it is shown, against its bound.
func (s *Setting) enough(q resource.Quantity, shown string, fail failer) bool {
	least := s.bounds.least
	if least.IsZero() || q.Cmp(least) >= 0 {
		return true
	}
	why := s.bounds.why
	if why != "" {
		why = ", " + why
	}
	fail("", "%s is too small%s: set at least %s", shown, why, least.String())
	return false
}

// Resources declares the requests and limits of who; keys that a stack leaves out keep
// their defaults.
func (g *Group) Resources(p *room.Resources, key, who string, options ...Option) {
	amounts := func(a room.Amounts) map[string]any {
		return map[string]any{"cpu": a.CPU.String(), "memory": a.Memory.String()}
	}
	def := map[string]any{"requests": amounts(p.Requests), "limits": amounts(p.Limits)}
	s := g.declare(Compute, key, def, "Requests and limits of "+who+". Keys left out keep their defaults.", options)
	s.read = func(raw string, fail failer) {
		if r, ok := resources(*p, key, raw, fail); ok && s.enough(r.Limits.Memory, r.Limits.Memory.String(), fail) {
			*p = r
		}
	}
}

// resources reads a resources object over what there is.
func resources(r room.Resources, key, raw string, fail failer) (room.Resources, bool) {
	var given map[string]any
	if err := Decode(raw, &given); err != nil {
		fail("", "%q is not an object: set e.g. `pulumi config set --path %s.limits.memory 2Gi`", raw, key)
		return r, false
	}
	ok := true
	for _, kind := range slices.Sorted(maps.Keys(given)) {
		into := map[string]*room.Amounts{"requests": &r.Requests, "limits": &r.Limits}[kind]
		if into == nil {
			fail("."+kind, "no such key: use requests or limits")
			ok = false
			continue
		}
		amounts, object := given[kind].(map[string]any)
		if !object {
			fail("."+kind, "%v is not an object: give cpu and memory", given[kind])
			ok = false
			continue
		}
		for _, what := range slices.Sorted(maps.Keys(amounts)) {
			sub := "." + kind + "." + what
			measure := map[string]func(string, string, failer) (resource.Quantity, bool){"cpu": cores, "memory": bytes}[what]
			if measure == nil {
				fail(sub, "no such key: use cpu or memory")
				ok = false
				continue
			}
			q, read := measure(fmt.Sprint(amounts[what]), sub, fail)
			ok = ok && read
			*map[string]*resource.Quantity{"cpu": &into.CPU, "memory": &into.Memory}[what] = q
		}
	}
	if !ok {
		return r, false
	}
	if err := r.Validate(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fail("", "%s", line)
		}
		return r, false
	}
	return r, true
}

// image reads a reference that says which version it means.
func image(v string, fail failer) bool {
	ref, err := reference.ParseNormalizedNamed(v)
	if err != nil {
		fail("", "%q is not an image reference: %v", v, err)
		return false
	}
	if reference.IsNameOnly(ref) {
		fail("", "%q has no tag and no digest: name a version, e.g. %s:1.2.3", v, v)
		return false
	}
	return true
}
