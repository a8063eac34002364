package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

// Problems collects everything that is wrong with a configuration, so that a user sees
// all of it at once.
type Problems struct {
	set      *Set
	values   map[string]string
	secret   []string
	errors   []error
	warnings []string
}

// Add records what is wrong with a setting: its value, why, and what would be right.
func (p *Problems) Add(key, format string, args ...any) {
	p.errors = append(p.errors, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

// Warn records what a user should know and may want.
func (p *Problems) Warn(key, format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf("%s: %s", key, fmt.Sprintf(format, args...)))
}

// Len is the number of problems.
func (p *Problems) Len() int { return len(p.errors) }

// Err joins the problems, one a line; nil when there is none.
func (p *Problems) Err() error { return errors.Join(p.errors...) }

// Warnings lists what was recorded by Warn.
func (p *Problems) Warnings() []string { return p.warnings }

// setting returns a declared setting; asking for another one is a mistake of the program.
func (p *Problems) setting(key string) *Setting {
	s, ok := p.set.byKey[key]
	if !ok {
		panic("settings: " + key + " is asked for and not declared")
	}
	return s
}

// Value is the value of a setting as the stack wrote it, and as the default is written
// where the stack sets nothing.
func (p *Problems) Value(key string) string {
	s := p.setting(key)
	if v, ok := p.values[key]; ok {
		return strings.TrimSpace(v)
	}
	return fmt.Sprint(s.Default)
}

// Meant tells whether the stack sets a value of its own. The command line passes the
// defaults, too: only another value says that somebody meant it.
func (p *Problems) Meant(key string) bool {
	s := p.setting(key)
	v, set := p.values[key]
	return set && !s.isDefault(v)
}

// Encrypted tells whether the stack stores the value of a setting as a secret.
func (p *Problems) Encrypted(key string) bool { return slices.Contains(p.secret, p.setting(key).Key) }

// Untold tells whether nobody knows, of an image that Of bounds, which version it has: its
// tag does not tell.
func (p *Problems) Untold(key string) bool {
	image := p.Value(key)
	if image == "" {
		return false
	}
	release := p.setting(key).release
	version := release.version(image)
	return version == "" || release.open(version)
}

// Keys lists the settings of a kind.
func (p *Problems) Keys(kind Kind) []string {
	var keys []string
	for _, s := range p.set.Settings() {
		if s.Kind == kind {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// Read puts the values of a stack, by key, where they land; secretKeys are those that
// are stored as secrets. It reports every problem: keys that no setting has, secrets in
// plain text, values that cannot be read, values without a meaning or an effect as the
// stack is, and what the checks find.
func (s *Set) Read(values map[string]string, secretKeys []string) *Problems {
	p := &Problems{set: s, values: values, secret: secretKeys}
	p.unknown()
	all := s.Settings()
	for _, d := range all {
		// The command line passes the defaults, too; an empty one is no secret.
		if v := values[d.Key]; v != "" && v != "{}" && d.Secret && !p.Encrypted(d.Key) {
			p.Add(d.Key, "the value is stored in plain text: set it again with `pulumi config set --secret %s`, and renew it", d.Key)
		}
	}
	unread := map[string]bool{}
	for _, d := range all {
		raw, set := values[d.Key]
		if d.required != "" && d.On(*s.target) && strings.TrimSpace(raw) == "" {
			p.Add(d.Key, "it is not set: %s", d.required)
			continue
		}
		if !set {
			continue
		}
		if !utf8.ValidString(raw) || strings.ContainsRune(raw, 0) {
			p.Add(d.Key, "the value is no text: it holds bytes that no character has")
			unread[d.Key] = true
			continue
		}
		d.read(raw, func(sub, format string, args ...any) {
			unread[d.Key] = true
			p.Add(d.Key+sub, format, args...)
		})
		if v := strings.TrimSpace(raw); d.release != nil && v != "" && !unread[d.Key] && !d.isDefault(v) {
			p.checkRelease(&d, v)
		}
	}
	if !unread[s.targetKey] {
		p.elsewhere()
	}
	for _, g := range s.groups {
		for _, check := range g.checks {
			check(p)
		}
	}
	return p
}

// unknown reports keys that no setting has, each with the nearest one.
func (p *Problems) unknown() {
	keys := slices.Sorted(maps.Keys(p.set.byKey))
	for _, key := range slices.Sorted(maps.Keys(p.values)) {
		if _, ok := p.set.byKey[key]; !ok {
			p.Add(key, "no such setting; did you mean %s? `pulumi config rm %s` removes it", Nearest(key, keys), key)
		}
	}
}

// Nearest is the candidate that is most like a word; there has to be one.
func Nearest(word string, candidates []string) string {
	distance := func(c string) int {
		return levenshtein.Distance(strings.ToLower(word), strings.ToLower(c), nil)
	}
	return slices.MinFunc(candidates, func(a, b string) int { return distance(a) - distance(b) })
}

// elsewhere reports settings that have no meaning where the stack runs, or as it is.
func (p *Problems) elsewhere() {
	target := *p.set.target
	for _, s := range p.set.Settings() {
		if !p.Meant(s.Key) {
			continue
		}
		if !s.On(target) {
			p.Add(s.Key, "it has no meaning with target %s: `pulumi config rm %s` removes it", target, s.Key)
		} else if s.while != nil && !s.while() {
			p.Add(s.Key, "it has an effect only while %s: see to that, or `pulumi config rm %s`", s.needs, s.Key)
		}
	}
}
