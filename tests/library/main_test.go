package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// mocks keep what is registered.
type mocks struct {
	mu  sync.Mutex
	all map[string]resource.PropertyMap
}

func (m *mocks) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("the program asks the engine for %s", args.Token)
}

func (m *mocks) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[args.TypeToken[strings.LastIndex(args.TypeToken, ":")+1:]+"/"+args.Name] = args.Inputs
	state := args.Inputs.Copy()
	if strings.HasSuffix(args.TypeToken, ":RandomPassword") {
		state["result"] = resource.MakeSecret(resource.NewStringProperty("generated-for-the-test-of-" + args.Name))
	}
	return args.Name, state, nil
}

// text is where inputs say what is asked for.
func (m *mocks) text(name string) string { return fmt.Sprint(m.all[name]) }

// TestComponentsAreALibrary: three of them make a namespace of their own.
func TestComponentsAreALibrary(t *testing.T) {
	m := &mocks{all: map[string]resource.PropertyMap{}}
	if err := pulumi.RunErr(program, pulumi.WithMocks("anybody", "any", m)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Namespace/ground", "ResourceQuota/ground", "StatefulSet/ledger-g1", "Deployment/ledger-pooler", "StatefulSet/sessions", "StatefulSet/watch-prometheus",
		"StatefulSet/watch-grafana", "NetworkPolicy/ground-default-deny", "NetworkPolicy/ground-ledger", "NetworkPolicy/ground-sessions",
	} {
		if m.all[want] == nil {
			t.Errorf("no %s among %v", want, slices.Sorted(maps.Keys(m.all)))
		}
	}
	for name := range m.all {
		for _, other := range []string{"/backend", "/frontend", "/edge"} {
			if strings.HasPrefix(name[strings.Index(name, "/"):], other) {
				t.Errorf("%s belongs to a room that the program does not have", name)
			}
		}
	}
	// Three members of the database and two poolers, of which a rollout starts one and ends two, one pod each of the
	// cache and monitoring's four, one that kube-state-metrics starts and one that it ends, and two of headroom.
	if pods := m.all["ResourceQuota/ground"]["spec"].ObjectValue()["hard"].ObjectValue()["pods"].StringValue(); pods != "17" {
		t.Errorf("a quota of %s pods, want 17", pods)
	}
	if policy := m.text("NetworkPolicy/ground-ledger"); !strings.Contains(policy, "watch-prometheus") || !strings.Contains(policy, "9187") {
		t.Errorf("Prometheus does not reach the database's metrics: %s", policy)
	}
	var rules string
	for name := range m.all {
		if strings.HasPrefix(name, "ConfigMap/watch-prometheus") {
			rules += m.text(name)
		}
	}
	for _, alert := range []string{"DatabaseDown", "CacheDown"} {
		if !strings.Contains(rules, alert) {
			t.Errorf("no alert %s", alert)
		}
	}
	if strings.Contains(rules, "EngineDown") {
		t.Error("an alert on what the program does not have")
	}
}

// TestReadmeQuotesTheProgram as it is, wherever it does.
func TestReadmeQuotesTheProgram(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, rest := range strings.Split(string(readme), "```go\nfunc program(")[1:] {
		quoted, _, _ := strings.Cut(rest, "```")
		if !strings.HasSuffix(string(source), "func program("+quoted) {
			t.Error("README.md and tests/library/main.go differ: copy the function program into the README")
		}
	}
}
