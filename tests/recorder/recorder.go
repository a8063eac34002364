// Package recorder runs the program on Pulumi mocks and keeps everything that it
// registered: no engine, no provider, no cluster. Tests assert on the recording
// after the run; make render writes it as YAML.
package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/stacks"
)

// Project is the name in Pulumi.yaml.
const Project = "alphapulse"

// Resource is one registration.
type Resource struct {
	Type string
	Name string
	// Inputs keep their secretness.
	Inputs resource.PropertyMap
	// RPC carries the resource options: parent, protect, aliases, dependencies, time-outs.
	RPC *pulumirpc.RegisterResourceRequest
}

// Kubernetes tells whether the resource is an object of the cluster.
func (r Resource) Kubernetes() bool {
	return strings.HasPrefix(r.Type, "kubernetes:") && r.Inputs["kind"].HasValue()
}

// Kind is a Kubernetes object's kind, "" for others.
func (r Resource) Kind() string {
	if k := r.Inputs["kind"]; k.IsString() {
		return k.StringValue()
	}
	return ""
}

// ObjectName is a Kubernetes object's metadata.name.
func (r Resource) ObjectName() string {
	if !r.Inputs["metadata"].IsObject() {
		return ""
	}
	name := r.Inputs["metadata"].ObjectValue()["name"]
	if name.IsSecret() {
		name = name.SecretValue().Element
	}
	if name.IsString() {
		return name.StringValue()
	}
	return ""
}

// Recording is everything that one run registered.
type Recording struct {
	Resources []Resource
	// Outputs are the stack's plain outputs; Secrets those that are secret.
	Outputs, Secrets map[string]any
}

// Find returns the registrations of a type and, when name is not empty, of that
// logical name.
func (r *Recording) Find(typ, name string) []Resource {
	var found []Resource
	for _, x := range r.Resources {
		if x.Type == typ && (name == "" || x.Name == name) {
			found = append(found, x)
		}
	}
	return found
}

// Options of a run.
type Options struct {
	Stack string
	// Config is the stack's configuration without the project's name in the keys.
	Config map[string]string
	// SecretKeys are the keys of Config that are stored as secrets.
	SecretKeys []string
	// Previous are the stack outputs of the last update; nil before the first.
	Previous map[string]any
	// HalfWritten is how often Previous cannot be read at first.
	HalfWritten int
	// Unknown makes the outputs of objects unknown, as in a preview before the first update.
	Unknown bool
	// Fails is the label of a resource that cannot be created.
	Fails string
	// Prints is what containers print that are attached to, by their names; they have what
	// is needed where it says nothing else.
	Prints map[string]string
	// Ended are the statuses of containers that are attached to, by their names; 0 else.
	Ended map[string]int
}

// Run runs the whole program.
func Run(o Options) (*Recording, error) {
	r := &Recording{Outputs: map[string]any{}, Secrets: map[string]any{}}
	var mu sync.Mutex
	values, secrets := map[string]any{}, map[string]bool{}
	err := r.Program(o, func(ctx *pulumi.Context) error {
		outputs, err := stacks.Compose(ctx)
		if err != nil {
			return err
		}
		for name, value := range outputs {
			output := pulumi.ToOutput(value)
			// Exported, so that the program does not end before the value is there.
			ctx.Export(name, output.ApplyT(func(v any) any {
				mu.Lock()
				defer mu.Unlock()
				values[name] = v
				return v
			}))
			if pulumi.IsSecret(output) {
				mu.Lock()
				secrets[name] = true
				mu.Unlock()
			}
		}
		return nil
	})
	// Where the program failed, a value may come later than its end: what a test reads is
	// a copy.
	mu.Lock()
	defer mu.Unlock()
	for name, v := range values {
		if secrets[name] {
			r.Secrets[name] = v
		} else {
			r.Outputs[name] = v
		}
	}
	return r, err
}

// Stack runs the whole program as a stack's file says, with some settings beside.
func Stack(name string, with map[string]string) (*Recording, error) {
	config, err := StackConfig(name)
	if err != nil {
		return nil, err
	}
	maps.Copy(config, with)
	return Run(Options{Stack: name, Config: config})
}

// Program runs any program on the recorder's mocks: a component alone, as a user of
// it would compose it.
func (r *Recording) Program(o Options, program pulumi.RunFunc) error {
	m := &mocks{recording: r, options: o}
	config := map[string]string{}
	for k, v := range o.Config {
		config[Project+":"+k] = v
	}
	var secretKeys []string
	for _, k := range o.SecretKeys {
		secretKeys = append(secretKeys, Project+":"+k)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return err
	}
	root, err := Root()
	if err != nil {
		return err
	}
	// Keys that no setting has reach the program by this way only.
	env.Lock()
	defer env.Unlock()
	if err := os.Setenv(pulumi.EnvConfig, string(raw)); err != nil {
		return err
	}
	defer func() { _ = os.Unsetenv(pulumi.EnvConfig) }()
	return pulumi.RunErr(strict(program), pulumi.WithMocksWithOrganization("organization", Project, o.Stack, m), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys, info.DryRun = config, secretKeys, o.Unknown
		info.RootDirectory = root
	})
}

// env guards the environment variable that carries the configuration.
var env sync.Mutex

type mocks struct {
	recording *Recording
	options   Options
	mu        sync.Mutex
}

// Call answers the program's question for the outputs of its last update.
func (m *mocks) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	if args.Token != "pulumi:pulumi:readStackOutputs" {
		return nil, fmt.Errorf("the program called %s, which no mock answers", args.Token)
	}
	if m.options.HalfWritten > 0 {
		m.options.HalfWritten--
		return nil, errors.New("failed to load checkpoint: EOF")
	}
	outputs := resource.NewPropertyMapFromMap(m.options.Previous)
	if m.options.Previous != nil {
		// As in a real stack, some of the outputs are secret.
		outputs["databasePassword"] = resource.MakeSecret(resource.NewStringProperty(Generated("databasePassword")))
	}
	return resource.PropertyMap{"outputs": resource.NewObjectProperty(outputs)}, nil
}

// NewResource records a registration and answers with its inputs and with what a
// provider would generate.
func (m *mocks) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	registered := Resource{Type: args.TypeToken, Name: args.Name, Inputs: args.Inputs, RPC: args.RegisterRPC}
	m.mu.Lock()
	m.recording.Resources = append(m.recording.Resources, registered)
	m.mu.Unlock()
	if m.options.Fails == registered.Label() {
		return "", nil, fmt.Errorf("%s cannot be created", registered.Label())
	}
	kubernetes := strings.HasPrefix(args.TypeToken, "kubernetes:") && !strings.HasSuffix(args.TypeToken, ":Service")
	if m.options.Unknown && (kubernetes || strings.HasPrefix(args.TypeToken, "docker:")) {
		// In a preview, an output that the answer leaves out is unknown. The mocks
		// cannot carry a value that is unknown and secret at once, so what flows
		// into Secrets stays known here; the live test previews that on the engine.
		return "", resource.PropertyMap{}, nil
	}
	state := args.Inputs.Copy()
	switch args.TypeToken {
	case "random:index/randomPassword:RandomPassword":
		state["result"] = resource.MakeSecret(resource.NewStringProperty(Generated(args.Name)))
	case dockerImage:
		state["imageId"] = resource.NewStringProperty(imageID(args.Inputs))
	case dockerContainer:
		if args.Inputs["attach"].HasValue() {
			printed, ok := m.options.Prints[args.Name]
			if !ok {
				printed = map[string]string{"database-look": "postgres (PostgreSQL) 17.10", "edge-look": "nginx version: nginx/1.30.0"}[args.Name]
			}
			state["containerLogs"] = resource.NewStringProperty(printed + "\n")
			state["exitCode"] = resource.NewNumberProperty(float64(m.options.Ended[args.Name]))
		}
	case dockerPush:
		state["sha256Digest"] = resource.NewStringProperty(ContentOf(args.Inputs))
	}
	return args.Name + "-id", state, nil
}

// imageID is how an engine names an image: by a digest of its content, which an image
// may be asked for by.
func imageID(inputs resource.PropertyMap) string {
	if name := inputs["name"].StringValue(); strings.HasPrefix(name, "sha256:") {
		return name
	}
	return ContentOf(inputs)
}

// ContentOf is the digest that the mocks give to an image, on the engine and in the registry:
// another one for other inputs.
func ContentOf(inputs resource.PropertyMap) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(Plain(inputs))))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Generated is the value that the mocks give to the random password called name:
// the same in every run, so that recordings can be compared.
func Generated(name string) string {
	sum := sha256.Sum256([]byte("generated " + name))
	return hex.EncodeToString(sum[:])[:32]
}

// Root is the project's directory: the nearest one above the working directory that
// has a Pulumi.yaml.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "Pulumi.yaml")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("no Pulumi.yaml here or above")
		}
		dir = filepath.Dir(dir)
	}
}

// StackConfig reads a stack's file in the form that the engine hands to the program.
func StackConfig(stack string) (map[string]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(root, "Pulumi."+stack+".yaml"))
	if err != nil {
		return nil, err
	}
	config, err := Config(raw)
	if err != nil {
		return nil, fmt.Errorf("stack file Pulumi.%s.yaml: %w", stack, err)
	}
	return config, nil
}

// Config reads the text of a stack's file.
func Config(text []byte) (map[string]string, error) {
	var file struct {
		Config map[string]any `yaml:"config"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	config := map[string]string{}
	for key, v := range file.Config {
		name, ours := strings.CutPrefix(key, Project+":")
		if !ours {
			continue
		}
		switch v := v.(type) {
		case string:
			config[name] = v
		case bool, int, float64:
			config[name] = fmt.Sprint(v)
		default:
			j, err := json.Marshal(v)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			config[name] = string(j)
		}
	}
	return config, nil
}
