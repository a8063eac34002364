// Package settings declares the settings of a program as package flag declares flags:
// once, in one line, straight into the variable where the value lands. What the
// variable holds at that moment is the default. From the declarations follow the
// reading of a stack's configuration with every problem at once, the schema in
// Pulumi.yaml and the reference for people.
//
//	set := settings.New(&target, room.Kubernetes, room.DockerHost)
//	g := set.Group("Database", "TimescaleDB and its exporter.")
//	g.Resources(&a.Resources, "databaseResources", "the database; its memory settings follow from the limits")
//	g.Int(&a.MaxConnections, "databaseMaxConnections", "Connections that the database accepts.", settings.Between(25, 1000))
//	g.Check(func(p *settings.Problems) {
//		if a.MaxConnections > most {
//			p.Add("databaseMaxConnections", "%d is too many: set at most %d", a.MaxConnections, most)
//		}
//	})
//	problems := set.Read(values, secretKeys)
package settings

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Type is a setting's type, in the words of Pulumi.yaml.
type Type string

// The types that Pulumi.yaml knows.
const (
	String  Type = "string"
	Integer Type = "integer"
	Boolean Type = "boolean"
	Array   Type = "array"
	Object  Type = "object"
)

// Kind is what a setting's value means, in the words of the reference.
type Kind string

// The kinds.
const (
	Text      Kind = "text"
	Number    Kind = "number"
	Toggle    Kind = "true or false"
	Fraction  Kind = "fraction"
	Amount    Kind = "amount"
	Path      Kind = "path"
	Image     Kind = "image"
	List      Kind = "list"
	Variables Kind = "variables"
	Compute   Kind = "requests and limits"
	Named     Kind = "objects by name"
	Structure Kind = "object"
)

// types says what each kind is written as.
var types = map[Kind]Type{
	Text: String, Number: Integer, Toggle: Boolean, Fraction: String, Amount: String,
	Path: String, Image: String, List: Array, Variables: Object, Compute: Object, Structure: Object,
	Named: Object,
}

// Setting is one key of a stack's configuration.
type Setting struct {
	Key  string
	Kind Kind
	// Type follows from Kind; Items is the type of an array's elements.
	Type, Items Type
	// Default is the value of a stack that sets nothing, as Pulumi.yaml writes it. An
	// empty one has a meaning, which Description tells, or is refused as Required says.
	Default any
	// Secret values are set with `pulumi config set --secret`.
	Secret bool
	// Description says what the setting does, without bounds and target.
	Description string
	// Targets are those on which the setting has a meaning.
	Targets []room.Target

	// required says how a setting without a default is set; usual that Targets are those
	// of the set.
	required string
	usual    bool
	bounds   bounds
	checks   []func(string) error
	each     []func(string) error
	release  *Release
	// while tells whether the setting has an effect; needs says when.
	while func() bool
	needs string
	// read parses a raw value and puts it where it lands.
	read func(raw string, fail failer)
}

// failer records a problem with a setting or, when sub is not empty, with a part of it.
type failer func(sub, format string, args ...any)

// bounds are what a value lies within.
type bounds struct {
	limited       bool
	zero          string
	lowest, most  int
	unit          string
	least         resource.Quantity
	why           string
	oneOf         []string
	floorOfMemory bool
}

// String says the bounds in words; "" where there are none.
func (b bounds) String() string {
	var s string
	switch {
	case b.limited:
		s = fmt.Sprintf("%d to %d", b.lowest, b.most)
	case !b.least.IsZero() && b.floorOfMemory:
		s = "memory limit at least " + b.least.String()
	case !b.least.IsZero():
		s = "at least " + b.least.String()
	case len(b.oneOf) > 0:
		s = "one of " + strings.Join(b.oneOf, ", ")
	}
	s = strings.TrimSpace(s + " " + b.unit)
	if b.zero != "" {
		s += ", or 0 " + b.zero
	}
	return s
}

// Bounds says in words what a value lies within; "" for everything of its type.
func (s Setting) Bounds() string {
	switch {
	case s.Kind == Fraction:
		return "0 to 1"
	case s.release != nil:
		return s.release.wanted()
	}
	return s.bounds.String()
}

// isDefault tells whether a raw value is the default.
func (s Setting) isDefault(raw string) bool {
	switch s.Type {
	case Array, Object:
		def, err := json.Marshal(s.Default)
		if err != nil {
			return false
		}
		var a, b any
		return json.Unmarshal([]byte(raw), &a) == nil && json.Unmarshal(def, &b) == nil && reflect.DeepEqual(a, b)
	default:
		return strings.TrimSpace(raw) == fmt.Sprint(s.Default)
	}
}

// An Option says more about a setting.
type Option func(*Setting)

// Secret marks a value that opens something: it is refused in plain text.
func Secret(s *Setting) { s.Secret = true }

// Only marks a setting that has a meaning on these targets alone.
func Only(targets ...room.Target) Option {
	return func(s *Setting) { s.Targets, s.usual = targets, false }
}

// Also marks a setting that has a meaning on a target beside the usual ones.
func Also(target room.Target) Option {
	return func(s *Setting) { s.Targets = append(slices.Clone(s.Targets), target) }
}

// On tells whether the setting has a meaning on a target.
func (s Setting) On(target room.Target) bool { return slices.Contains(s.Targets, target) }

// While marks a setting that has an effect only while something else holds; needs says
// what, e.g. "engineEnabled is true".
func While(holds func() bool, needs string) Option {
	return func(s *Setting) { s.while, s.needs = holds, needs }
}

// Required refuses an empty text where the setting has a meaning; how says how it is set.
func Required(how string) Option {
	return func(s *Setting) { s.must(Text); s.required = how }
}

// Between bounds a number, both ends included.
func Between(lowest, most int) Option {
	return func(s *Setting) {
		s.must(Number)
		s.bounds.limited, s.bounds.lowest, s.bounds.most = true, lowest, most
	}
}

// OrZero lets a number be 0, too; means says what that does, e.g. "for none".
func OrZero(means string) Option {
	return func(s *Setting) { s.must(Number); s.bounds.zero = means }
}

// In names the unit of a number.
func In(unit string) Option {
	return func(s *Setting) { s.must(Number); s.bounds.unit = unit }
}

// AtLeast bounds an amount or, of requests and limits, the memory limit. why says what
// does not work with less; "" where it goes without saying.
func AtLeast(least resource.Quantity, why string) Option {
	return func(s *Setting) {
		s.must(Amount, Compute)
		s.bounds.least, s.bounds.why, s.bounds.floorOfMemory = least, why, s.Kind == Compute
	}
}

// OneOf lists the values of a text.
func OneOf[T ~string](values ...T) Option {
	return func(s *Setting) {
		s.must(Text)
		for _, v := range values {
			s.bounds.oneOf = append(s.bounds.oneOf, string(v))
		}
	}
}

// Valid checks a text or a path; the error says what is wrong with it. A text that is
// empty by default may stay so, and no path is none.
func Valid(check func(value string) error) Option {
	return func(s *Setting) {
		s.must(Text, Path)
		s.checks = append(s.checks, check)
	}
}

// Each checks every element of a list, or the names of variables.
func Each(check func(item string) error) Option {
	return func(s *Setting) {
		s.must(List, Variables)
		s.each = append(s.each, check)
	}
}

// must stops a program that declares what has no effect.
func (s *Setting) must(kinds ...Kind) {
	for _, k := range kinds {
		if s.Kind == k {
			return
		}
	}
	panic(fmt.Sprintf("settings: %s is of kind %q: its option is for %q", s.Key, s.Kind, kinds))
}

// Set is every setting of a program.
type Set struct {
	// target is where the stack runs, as soon as the setting that says so is read.
	target    *room.Target
	targetKey string
	usual     []room.Target
	groups    []*Group
	byKey     map[string]*Setting
}

// New makes an empty set for a stack that runs where target says once it is read. usual
// are the targets of settings that do not name theirs.
func New(target *room.Target, usual ...room.Target) *Set {
	return &Set{target: target, usual: usual, byKey: map[string]*Setting{}}
}

// Group is what belongs together: the settings of one room.
type Group struct {
	// Title and Description head the group in the reference.
	Title, Description string

	set      *Set
	settings []*Setting
	checks   []func(*Problems)
}

// Group adds a group. Settings are read in the order of their declaration.
func (s *Set) Group(title, description string) *Group {
	g := &Group{Title: title, Description: description, set: s}
	s.groups = append(s.groups, g)
	return g
}

// Settings lists every setting in the order of declaration.
func (s *Set) Settings() []Setting {
	var all []Setting
	for _, g := range s.groups {
		for _, d := range g.settings {
			all = append(all, *d)
		}
	}
	return all
}

// Check adds what has to hold between settings. It runs when all of them are read; one
// that could not be read has its default then.
func (g *Group) Check(check func(*Problems)) { g.checks = append(g.checks, check) }

// declare adds a setting; two of one name are a mistake of the program.
func (g *Group) declare(kind Kind, key string, def any, description string, options []Option) *Setting {
	s := &Setting{Key: key, Kind: kind, Type: types[kind], Default: def, Description: description, Targets: g.set.usual, usual: true}
	if s.Type == Array {
		s.Items = String
	}
	if _, twice := g.set.byKey[key]; twice {
		panic("settings: " + key + " is declared twice")
	}
	for _, o := range options {
		o(s)
	}
	g.set.byKey[key] = s
	g.settings = append(g.settings, s)
	return s
}
