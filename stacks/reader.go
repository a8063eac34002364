package stacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/platform"
)

// reader takes typed values out of a stack's raw configuration and collects every
// problem, so that a user sees all of them at once.
type reader struct {
	values   map[string]string
	settings map[string]Setting
	problems []error
}

func newReader(values map[string]string) *reader {
	r := &reader{values: values, settings: map[string]Setting{}}
	for _, s := range settings {
		r.settings[s.Key] = s
	}
	return r
}

// problem records what is wrong with a setting: its value, why, and what would be right.
func (r *reader) problem(key, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

func (r *reader) err() error { return errors.Join(r.problems...) }

// unknownKeys reports keys that no setting has, each with the nearest one.
func (r *reader) unknownKeys() {
	for _, key := range slices.Sorted(maps.Keys(r.values)) {
		if _, ok := r.settings[key]; !ok {
			r.problem(key, "no such setting; did you mean %s? `pulumi config rm %s` removes it", nearest(key, slices.Collect(maps.Keys(r.settings))), key)
		}
	}
}

// elsewhere reports settings that have no meaning where the stack runs. The command
// line passes the defaults, too: only another value says that somebody meant it.
func (r *reader) elsewhere(target string) {
	for _, s := range settings {
		v, set := r.values[s.Key]
		if s.Target == "" || s.Target == target || !set || s.isDefault(v) {
			continue
		}
		r.problem(s.Key, "it has no meaning with target %s: `pulumi config rm %s` removes it", target, s.Key)
	}
}

func nearest(word string, candidates []string) string {
	slices.Sort(candidates)
	return slices.MinFunc(candidates, func(a, b string) int {
		return levenshtein.Distance(strings.ToLower(word), strings.ToLower(a), nil) -
			levenshtein.Distance(strings.ToLower(word), strings.ToLower(b), nil)
	})
}

// setting returns a declared setting; asking for another one is a mistake of the program.
func (r *reader) setting(key string) Setting {
	s, ok := r.settings[key]
	if !ok {
		panic("stacks: " + key + " is read but not declared in settings.go")
	}
	return s
}

func (r *reader) text(key string) string {
	s := r.setting(key)
	if v, ok := r.values[key]; ok {
		return strings.TrimSpace(v)
	}
	def, _ := s.Default.(string)
	return def
}

// path reads an HTTP path; "-" means none.
func (r *reader) path(key string) string {
	v := r.text(key)
	switch {
	case v == "-":
		return ""
	case !strings.HasPrefix(v, "/") || strings.ContainsAny(v, " \t\n?#"):
		r.problem(key, "%q is not a path: start it with a slash, e.g. /health, or set - for none", v)
	}
	return v
}

func (r *reader) oneOf(key string, allowed ...string) string {
	v := r.text(key)
	if !slices.Contains(allowed, v) {
		r.problem(key, "%q is not one of %s", v, strings.Join(allowed, ", "))
	}
	return v
}

func (r *reader) number(key string, lowest, highest int) int {
	s := r.setting(key)
	v, ok := r.values[key]
	if !ok {
		return s.Default.(int)
	}
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil || n < lowest || n > highest {
		r.problem(key, "%q is out of range: set a whole number from %d to %d", v, lowest, highest)
		return s.Default.(int)
	}
	return n
}

func (r *reader) port(key string) int { return r.number(key, 1, 65535) }

func (r *reader) toggle(key string) bool {
	s := r.setting(key)
	v, ok := r.values[key]
	if !ok {
		return s.Default.(bool)
	}
	b, err := strconv.ParseBool(strings.TrimSpace(v))
	if err != nil {
		r.problem(key, "%q is neither true nor false", v)
	}
	return b
}

func (r *reader) fraction(key string) float64 {
	v := r.text(key)
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		r.problem(key, "%q is not a fraction: set a number from 0 to 1, e.g. 0.1", v)
		return 0
	}
	return f
}

func (r *reader) list(key string) []string {
	s := r.setting(key)
	v, ok := r.values[key]
	if !ok {
		def, _ := s.Default.([]string)
		return def
	}
	var items []string
	if err := json.Unmarshal([]byte(v), &items); err != nil {
		r.problem(key, "%q is not a list of strings: set it in the stack file, or with `pulumi config set --path '%s[0]' VALUE`", v, key)
	}
	return items
}

func (r *reader) strings(key string) map[string]string {
	v, ok := r.values[key]
	if !ok {
		return map[string]string{}
	}
	var raw map[string]any
	if err := decode(v, &raw); err != nil {
		r.problem(key, "it is not an object of strings: set it in the stack file, or with `pulumi config set --path %s.NAME VALUE`", key)
		return map[string]string{}
	}
	out := map[string]string{}
	for k, x := range raw {
		if problems := validation.IsEnvVarName(k); len(problems) > 0 {
			r.problem(key+"."+k, "the name cannot be a variable: %s", problems[0])
		}
		switch x := x.(type) {
		case string:
			out[k] = x
		case bool, json.Number:
			out[k] = fmt.Sprint(x)
		default:
			r.problem(key+"."+k, "the value is not a string")
		}
	}
	return out
}

// decode keeps numbers as they were written and refuses trailing data.
func decode(text string, into any) error {
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

// resources reads a resources object; what the stack leaves out keeps its default.
func (r *reader) resources(key string) platform.Resources {
	merged := map[string]map[string]any{}
	for kind, amounts := range r.setting(key).Default.(map[string]any) {
		merged[kind] = maps.Clone(amounts.(map[string]any))
	}
	if v, ok := r.values[key]; ok {
		var given map[string]any
		if err := decode(v, &given); err != nil {
			r.problem(key, "%q is not an object: set e.g. `pulumi config set --path %s.limits.memory 2Gi`", v, key)
		}
		for _, kind := range slices.Sorted(maps.Keys(given)) {
			if merged[kind] == nil {
				r.problem(key+"."+kind, "no such key: use requests or limits")
				continue
			}
			amounts, ok := given[kind].(map[string]any)
			if !ok {
				r.problem(key+"."+kind, "%v is not an object: give cpu and memory", given[kind])
				continue
			}
			for _, what := range slices.Sorted(maps.Keys(amounts)) {
				if merged[kind][what] == nil {
					r.problem(key+"."+kind+"."+what, "no such key: use cpu or memory")
					continue
				}
				merged[kind][what] = amounts[what]
			}
		}
	}
	amount := func(kind, what string) resource.Quantity {
		return r.quantity(key+"."+kind+"."+what, fmt.Sprint(merged[kind][what]))
	}
	res := platform.Resources{
		Requests: platform.Amounts{CPU: amount("requests", "cpu"), Memory: amount("requests", "memory")},
		Limits:   platform.Amounts{CPU: amount("limits", "cpu"), Memory: amount("limits", "memory")},
	}
	if err := res.Validate(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			r.problem(key, "%s", line)
		}
	}
	return res
}

func (r *reader) quantity(key, value string) resource.Quantity {
	q, err := resource.ParseQuantity(value)
	if err != nil {
		r.problem(key, "%q is not an amount: write e.g. 500m for CPU, 512Mi or 2Gi for memory and storage", value)
		return resource.MustParse("1") // keeps later checks from repeating the complaint
	}
	return q
}

// smallestVolume is the least storage that any of the stateful workloads starts with.
var smallestVolume = resource.MustParse("256Mi")

func (r *reader) storage(key string) resource.Quantity {
	q := r.quantity(key, r.text(key))
	if q.Cmp(smallestVolume) < 0 {
		r.problem(key, "%q is too small: set at least %s", r.text(key), smallestVolume.String())
	}
	return q
}

// image reads an image reference that says which version it means.
func (r *reader) image(key string, refuseLatest bool) string {
	v := r.text(key)
	ref, err := reference.ParseNormalizedNamed(v)
	if err != nil {
		r.problem(key, "%q is not an image reference: %v", v, err)
		return v
	}
	tagged, hasTag := ref.(reference.Tagged)
	_, hasDigest := ref.(reference.Digested)
	switch {
	case !hasTag && !hasDigest:
		r.problem(key, "%q has no tag and no digest: name a version, e.g. %s:1.2.3", v, v)
	case hasTag && !hasDigest && tagged.Tag() == "latest" && refuseLatest:
		r.problem(key, "%q: a protected stack needs a version that stays the same: name another tag or a digest", v)
	}
	return v
}

func (r *reader) cidrs(key string) []string {
	values := r.list(key)
	for _, v := range values {
		p, err := netip.ParsePrefix(v)
		switch {
		case err != nil:
			r.problem(key, "%q is not a CIDR: write e.g. 203.0.113.0/24", v)
		case p.Masked() != p:
			r.problem(key, "%q has bits set beyond its prefix: write %s", v, p.Masked())
		}
	}
	return values
}

func (r *reader) serviceNames(key string) []string {
	values := r.list(key)
	for _, v := range values {
		if problems := validation.IsDNS1035Label(v); len(problems) > 0 {
			r.problem(key, "%q cannot be a Service's name: %s", v, problems[0])
		}
	}
	return values
}
