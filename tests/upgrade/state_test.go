// Package upgrade previews the recorded state of each release against the program
// as it is: an upgrade never loses what a user stored.
package upgrade

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// State is what one release left in one stack, as far as an upgrade could lose it.
type State struct {
	// Stack is the stack's name.
	Stack string `json:"stack"`
	// Config is the configuration that the release ran with.
	Config map[string]string `json:"config"`
	// Outputs are the plain stack outputs that the next update reads back.
	Outputs map[string]any `json:"outputs"`
	// Resources are the stateful ones.
	Resources []Entry `json:"resources"`
}

// Entry is one stateful resource of a State.
type Entry struct {
	Type string `json:"type"`
	Name string `json:"name"`
	// Parent is the URN of the owning component.
	Parent         string         `json:"parent"`
	Protect        bool           `json:"protect,omitempty"`
	RetainOnDelete bool           `json:"retainOnDelete,omitempty"`
	Inputs         map[string]any `json:"inputs"`
}

// stateOf keeps of a recording what an upgrade could lose. A StatefulSet's pod
// template is left out: no change of it replaces anything.
func stateOf(stack string, config map[string]string, r *recorder.Recording) (State, error) {
	s := State{Stack: stack, Config: config, Outputs: map[string]any{}}
	for _, output := range []string{"namespace", "volumes"} {
		s.Outputs[output] = r.Outputs[output]
	}
	for _, x := range r.Resources {
		if !x.Stateful() {
			continue
		}
		inputs := x.Inputs.MapRepl(nil, func(v resource.PropertyValue) (any, bool) {
			if v.IsSecret() {
				return "(secret)", true
			}
			return nil, false
		})
		if spec, ok := inputs["spec"].(map[string]any); ok && x.Kind() == "StatefulSet" {
			delete(spec, "template")
		}
		s.Resources = append(s.Resources, Entry{
			Type: x.Type, Name: x.Name, Parent: x.RPC.GetParent(),
			Protect: x.RPC.GetProtect(), RetainOnDelete: x.RPC.GetRetainOnDelete(), Inputs: inputs,
		})
	}
	// As a later run reads it back, numbers included.
	text, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	s = State{}
	return s, json.Unmarshal(text, &s)
}

// recordings are the entries in the recorder's form.
func (s State) recordings() []recorder.Resource {
	var all []recorder.Resource
	for _, e := range s.Resources {
		all = append(all, recorder.Resource{
			Type: e.Type, Name: e.Name, Inputs: resource.NewPropertyMapFromMap(e.Inputs),
			RPC: &pulumirpc.RegisterResourceRequest{Parent: e.Parent, Protect: &e.Protect, RetainOnDelete: &e.RetainOnDelete},
		})
	}
	return all
}

// losses runs the program on top of the state, with the given edits of its
// configuration, and names what would be deleted or replaced.
func (s State) losses(edits map[string]string, secretKeys ...string) ([]string, error) {
	now, err := s.run(edits, secretKeys...)
	if err != nil {
		return nil, err
	}
	return recorder.Losses(s.recordings(), now.Resources), nil
}

// run runs the program on top of the state.
func (s State) run(edits map[string]string, secretKeys ...string) (*recorder.Recording, error) {
	config := maps.Clone(s.Config)
	maps.Copy(config, edits)
	return recorder.Run(recorder.Options{Stack: s.Stack, Config: config, SecretKeys: secretKeys, Previous: s.Outputs})
}

// unprotected names what the release protected and the program, as configured then,
// does not.
func (s State) unprotected(edits map[string]string) ([]string, error) {
	now, err := s.run(edits)
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	for _, r := range now.Resources {
		kept[r.ID()] = r.RPC.GetProtect() && r.RPC.GetRetainOnDelete()
	}
	var lost []string
	for _, r := range s.recordings() {
		if r.RPC.GetProtect() && !kept[r.ID()] {
			lost = append(lost, r.Label())
		}
	}
	return lost, nil
}

// current is the state that the program leaves in a stack with its file as it is.
func current(stack string) (State, error) {
	config, err := recorder.StackConfig(stack)
	if err != nil {
		return State{}, err
	}
	r, err := recorder.Run(recorder.Options{Stack: stack, Config: config})
	if err != nil {
		return State{}, err
	}
	return stateOf(stack, config, r)
}

// released reads every recorded state, by "version-stack".
func released() (map[string]State, error) {
	files, err := filepath.Glob("testdata/v*.json")
	if err != nil {
		return nil, err
	}
	states := map[string]State{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var s State
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		states[strings.TrimSuffix(filepath.Base(file), ".json")] = s
	}
	return states, nil
}

// write records a release. A release is history: its file is never written again.
func (s State) write(version string) error {
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	name := filepath.Join("testdata", version+"-"+s.Stack+".json")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("record release %s of %s: %w", version, s.Stack, err)
	}
	if _, err := f.Write(append(text, '\n')); err != nil {
		return err
	}
	return f.Close()
}
