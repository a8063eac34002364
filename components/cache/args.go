// Package cache runs Redis: one server with its data in an append-only file on a
// volume of its own, bounded by its memory limit.
package cache

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/cache/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Ports of the cache's pod.
const (
	// Port of Redis without TLS.
	Port = 6379
	// TLSPort of Redis with TLS.
	TLSPort = 6380
	// MetricsPort of the exporter.
	MetricsPort = 9121
)

// User is the numeric uid and gid of "redis" in the Debian image.
const User = 999

// DefaultPolicy drops what was read longest ago. Everything in a cache can be had
// again, so every key may go; the volatile policies would refuse writes once
// enough keys without an expiry have come together.
const DefaultPolicy = "allkeys-lru"

// ExporterResources hold the exporter's metrics in memory.
var ExporterResources = room.ResourcesOf("20m", "32Mi", "200m", "64Mi")

// LeastMemory leaves half of it for the server itself.
var LeastMemory = resource.MustParse("64Mi")

// Args configure a Cache. What is zero takes the value of Defaults.
type Args struct {
	workload.Placement
	// Image of Redis 7 or later, Debian edition (uid 999).
	Image pulumi.StringInput
	// ExporterImage of redis_exporter.
	ExporterImage pulumi.StringInput
	// Resources of the server; half of the memory limit is for the data.
	Resources room.Resources
	// Policy says which keys are dropped when the memory is full, one of Policies.
	Policy string
	// Storage is the volume's size. It may grow later, never shrink.
	Storage resource.Quantity
	// StorageClass of the volume when it is first made; "" takes the cluster's default.
	StorageClass string
	// ApplicationPassword of the default user and MonitoringPassword of the
	// exporter's: long and random. A changed one rolls the pod.
	ApplicationPassword, MonitoringPassword pulumi.StringInput
	// FormerPassword is accepted beside ApplicationPassword, for clients that have not been
	// told that yet; nil for none.
	FormerPassword pulumi.StringInput
	// Encryption is what the server asks of its clients: with room.Preferred they find
	// Port and TLSPort, with room.Required TLSPort alone. "" for room.Preferred with an
	// Authority, and for room.Unencrypted without, which is all that a Docker host has.
	Encryption room.Encryption
	// Authority signs the server's certificate; its zero value signs nothing.
	Authority workload.Authority
	// AliasServices are further names under which clients reach the cache, for builds
	// that hard-code a host name.
	AliasServices []string
	// Limits of the alerts.
	Limits observe.Limits
	// Protect makes Pulumi refuse to delete the claim and the StatefulSet, and keep
	// them if the stack is destroyed all the same.
	Protect bool
}

// validated is a copy with every default filled in, or all that is wrong.
func (a *Args) validated(name string) (*Args, error) {
	if a == nil {
		a = &Args{}
	}
	a = a.withDefaults()
	return a, a.Validate(name)
}

// MaxMemoryBytes is the server's maxmemory.
func (a *Args) MaxMemoryBytes() int64 { return MaxMemory(a.Resources.Limits.Memory.Value()) }

// Config is redis.conf.
func (a *Args) Config() string { return RenderConfig(a.MaxMemoryBytes(), a.Policy, a.Encryption) }

// Ports are those that clients find.
func (a *Args) Ports() []int {
	var ports []int
	for _, p := range a.ports() {
		ports = append(ports, p.Number)
	}
	return ports
}

// ports of the server's container.
func (a *Args) ports() []workload.Port {
	plain, secure := workload.Port{Name: portName, Number: Port}, workload.Port{Name: secureName, Number: TLSPort}
	switch a.Encryption {
	case room.Required:
		return []workload.Port{secure}
	case room.Preferred:
		return []workload.Port{plain, secure}
	default:
		return []workload.Port{plain}
	}
}

// encrypted tells whether the server speaks TLS.
func (a *Args) encrypted() bool {
	return a.Encryption == room.Preferred || a.Encryption == room.Required
}

// ACL is users.acl, secret.
func (a *Args) ACL() pulumi.StringOutput {
	former := a.FormerPassword
	if former == nil {
		former = pulumi.String("")
	}
	return pulumi.ToSecret(pulumi.All(a.ApplicationPassword, former, a.MonitoringPassword).ApplyT(func(v []any) (string, error) {
		return RenderACL(v[0].(string), v[1].(string), v[2].(string))
	})).(pulumi.StringOutput)
}

// ExporterPasswords is the file of the exporter of the server at an address, secret.
func (a *Args) ExporterPasswords(address *url.URL) pulumi.StringOutput {
	return pulumi.ToSecret(pulumi.All(a.MonitoringPassword).ApplyT(func(v []any) (string, error) {
		return RenderExporterPasswords(address, v[0].(string))
	})).(pulumi.StringOutput)
}

// Validate reports everything that keeps the cache called name from being created.
func (a *Args) Validate(name string) error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("cache: "+format, v...)) }
	for _, required := range []struct {
		name  string
		value pulumi.StringInput
	}{
		{"Namespace", a.Namespace},
		{"ApplicationPassword", a.ApplicationPassword}, {"MonitoringPassword", a.MonitoringPassword},
	} {
		if required.value == nil {
			problem("%s is missing: set it", required.name)
		}
	}
	if err := a.Resources.Validate(); err != nil {
		problem("Resources: %w", err)
	}
	memory := a.Resources.Limits.Memory
	if memory.Cmp(LeastMemory) < 0 {
		problem("Resources: limits.memory is %s: Redis needs at least %s", memory.String(), LeastMemory.String())
	} else if least := resource.NewQuantity(LeastStorage(a.MaxMemoryBytes()), resource.BinarySI); a.Storage.Cmp(*least) < 0 {
		problem("Storage is %s: with limits.memory %s the append-only file may take %s; raise Storage or lower the memory",
			a.Storage.String(), memory.String(), least.String())
	}
	if !slices.Contains(Policies, a.Policy) {
		problem("Policy is %q: want one of %s", a.Policy, strings.Join(Policies, ", "))
	}
	if !slices.Contains(room.Encryptions, a.Encryption) {
		problem("Encryption is %q: want one of %q", a.Encryption, room.Encryptions)
	} else if a.encrypted() && a.Authority.Seed == nil {
		problem("Authority.Seed is missing: Encryption %s needs a certificate", a.Encryption)
	}
	for _, err := range workload.ValidateAliases(name, a.AliasServices) {
		problem("%w", err)
	}
	return errors.Join(problems...)
}
