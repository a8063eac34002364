package settings

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// sentences is the description with everything that the declaration says beside it.
func (s Setting) sentences() string {
	text := s.Description
	add := func(format string, args ...any) { text += " " + fmt.Sprintf(format, args...) + "." }
	if b := s.Bounds(); b != "" {
		add("%c%s", unicode.ToUpper(rune(b[0])), b[1:])
	}
	if !s.usual {
		add("Only with target %s", s.targets(" or "))
	}
	if s.needs != "" {
		add("Only while %s", s.needs)
	}
	if s.Secret {
		// The command line's own "secret: true" would make an optional setting
		// required; the program refuses a value that is stored in plain text.
		add("A secret: set it with --secret")
	}
	return text
}

// Schema is the config section of Pulumi.yaml, which the command line reads.
func (s *Set) Schema() (string, error) {
	section := yaml.Node{Kind: yaml.MappingNode}
	for _, d := range s.Settings() {
		declared := struct {
			Type        Type            `yaml:"type"`
			Items       map[string]Type `yaml:"items,omitempty"`
			Description string          `yaml:"description"`
			Default     any             `yaml:"default,omitempty"`
		}{Type: d.Type, Description: d.sentences(), Default: d.Default}
		if d.Items != "" {
			declared.Items = map[string]Type{"type": d.Items}
		}
		var value yaml.Node
		if err := value.Encode(declared); err != nil {
			return "", fmt.Errorf("schema of %s: %w", d.Key, err)
		}
		section.Content = append(section.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: d.Key}, &value)
	}
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(map[string]any{"config": &section}); err != nil {
		return "", fmt.Errorf("schema: %w", err)
	}
	return b.String(), nil
}

// Reference is the page that people read: a table for each group.
func (s *Set) Reference() string {
	var b strings.Builder
	for _, g := range s.groups {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", g.Title, g.Description)
		b.WriteString("| setting | value | default | bounds | target | what it does |\n| --- | --- | --- | --- | --- | --- |\n")
		for _, d := range g.settings {
			target := d.targets(", ")
			if d.usual {
				target = "every"
				for _, t := range d.Targets[len(s.usual):] {
					target += ", " + string(t)
				}
			}
			kind := string(d.Kind)
			if d.Secret {
				kind += ", **secret**"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", d.Key, kind, d.shown(), cell(d.Bounds()), target, cell(d.explained()))
		}
	}
	return b.String()
}

// targets are those of a setting, in words.
func (s Setting) targets(between string) string {
	var names []string
	for _, t := range s.Targets {
		names = append(names, string(t))
	}
	return strings.Join(names, between)
}

// explained is the description with when it holds.
func (s Setting) explained() string {
	if s.needs == "" {
		return s.Description
	}
	return s.Description + " Only while " + s.needs + "."
}

// shown is the default as a reader of the reference sees it.
func (s Setting) shown() string {
	if s.required != "" {
		return "(required)"
	}
	switch v := s.Default.(type) {
	case string:
		if v == "" {
			return ""
		}
		return "`" + v + "`"
	case map[string]any:
		if s.Kind == Compute {
			amounts := func(kind string) string {
				a := v[kind].(map[string]any)
				return fmt.Sprintf("%s `%v`, `%v`", kind, a["cpu"], a["memory"])
			}
			return amounts("requests") + "; " + amounts("limits")
		}
		if len(v) == 0 {
			return ""
		}
	case []string:
		if len(v) == 0 {
			return ""
		}
	default:
		return fmt.Sprintf("`%v`", v)
	}
	text, err := json.Marshal(s.Default)
	if err != nil {
		return fmt.Sprint(s.Default)
	}
	return "`" + string(text) + "`"
}

// cell keeps a table's cell in its column.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }
