package stacks

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/addons"
	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/backup"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/telemetry"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Stack is a stack's configuration, checked: the arguments of every component, as far
// as they are known before the first resource exists. Secret values are Pulumi secrets
// only from the moment they are handed to a component: nothing prints a Stack.
type Stack struct {
	// Name of the stack.
	Name string
	// Target that the stack runs on.
	Target room.Target
	// Platform, Cluster, Host and Build are what the composition itself needs.
	Platform Platform
	Cluster  Cluster
	Host     Host
	Build    Build
	// Application is what the processes of the backend read, and which there are.
	Application Application

	// Backup says where backups of the database lie, and Backups how they are taken.
	Backup  Backup
	Backups *backup.Args

	Database *database.Args
	Cache    *cache.Args
	Backend  *backend.Args
	Frontend *frontend.Args
	Edge     *ingress.Args
	TLS      TLS
	// Wire says how what is behind the edge talks.
	Wire       Wire
	Monitoring *monitoring.Args
	Telemetry  *telemetry.Args

	// AddOns are all that a stack with target addons consists of.
	AddOns AddOns

	// Warnings are what a user should know, one line each, though nothing is refused.
	Warnings []string

	// custom is what users watch of their own, operated what an Operator's Prometheus is
	// told.
	custom   ownMonitoring
	operated operatedMonitoring
	// kubelets is whether they tell what containers take.
	kubelets kubeletMetrics
	// gatewayTLS is where clients' TLS ends when a Gateway leads to the edge.
	gatewayTLS string
	// login is who may pass the edge.
	login edgeLogin
	// signOn is who logs in to Grafana.
	signOn signOn
	// words are the user's, by credential, and formerWords those that are accepted beside.
	words       map[string]string
	formerWords map[string]string
	// authority counts the stack's own CAs, and formerAuthority has the one before trusted.
	authority       int
	formerAuthority bool
	// databaseFrom is what a new database is filled from; "" for nothing.
	databaseFrom string
	// former is the single server that it means.
	former database.Former
	// volumes are the claims whose sizes users set, by name.
	volumes map[string]sized
}

// sized is a claim's size and the setting that it comes from.
type sized struct {
	key  string
	size *resource.Quantity
}

// declared are the rooms in the order in which their settings are read and documented.
var declared = []func(*Stack, *settings.Set){
	(*Stack).platformSettings, (*Stack).clusterSettings, (*Stack).placementSettings, (*Stack).hostSettings, (*Stack).buildSettings,
	(*Stack).databaseSettings, (*Stack).backupSettings, (*Stack).cacheSettings,
	(*Stack).backendSettings, (*Stack).engineSettings, (*Stack).dashboardSettings, (*Stack).applicationSettings,
	(*Stack).frontendSettings, (*Stack).edgeSettings, (*Stack).tlsSettings, (*Stack).wireSettings, (*Stack).monitoringSettings, (*Stack).telemetrySettings,
	(*Stack).rotationSettings, (*Stack).addonSettings,
}

// arranged are the rooms in the order in which one follows from another: what is behind
// the edge comes before it, and what names the edge's addresses after it.
var arranged = []func(*Stack){
	(*Stack).arrangeDatabase, (*Stack).arrangeBackup, (*Stack).arrangeCache, (*Stack).arrangeBackend, (*Stack).arrangeWire,
	(*Stack).arrangeLogin, (*Stack).arrangeEdge, (*Stack).arrangeFrontend, (*Stack).arrangeMonitoring, (*Stack).arrangeTelemetry,
}

// newStack is a stack with every default, and its settings.
func newStack(name string) (*Stack, *settings.Set) {
	db, saved, store, app := database.Defaults(), backup.Defaults(), cache.Defaults(), backend.Defaults()
	ui, edge, watch, signals := frontend.Defaults(), ingress.Defaults(), monitoring.Defaults(), telemetry.Defaults()
	s := &Stack{
		Name: name, Target: room.Kubernetes,
		Cluster:     Cluster{EgressCIDRs: []string{"0.0.0.0/0", "::/0"}, CreateNamespace: true, APIServerPorts: []string{"443", "6443"}, DNSPorts: []string{"53", "5353"}, AssignUserIDs: true},
		Host:        Host{Prefix: prefixed(name), HTTPPort: 80},
		Application: Application{Settings: backend.DefaultSettings(), EngineEnabled: true, DashboardEnabled: true, PaperTrading: true, LatencyMilliseconds: 200},
		TLS:         TLS{Mode: TLSDevelopment, Issuer: ingress.Issuer{Kind: ingress.ClusterIssuer}},
		Wire:        Wire{Encryption: db.Encryption},
		AddOns:      AddOns{Manager: addons.CertManagerDefaults(), Controller: controllerOff, Gateway: addons.GatewayDefaults(), Logs: defaultLogAgent()},
		Backup:      Backup{Store: backup.DefaultStore(), Own: Bucket{Region: saved.Archive.Region}},
		Database:    &db, Backups: &saved, Cache: &store, Backend: &app, Frontend: &ui, Edge: &edge, Monitoring: &watch, Telemetry: &signals,
		volumes:    map[string]sized{},
		gatewayTLS: gatewayTerminate,
		login:      edgeLogin{mode: loginOff, SignOn: ingress.SignOnDefaults()},
		signOn:     signOn{mode: grafanaOwn, SignOn: monitoring.SignOn{Scopes: []string{"openid", "profile", "email"}}},
		operated:   operatedMonitoring{backend: MonitoringOwn, namespace: "monitoring"},
		kubelets:   kubeletMetrics{verify: true},
	}
	set := settings.New(&s.Target, room.Kubernetes, room.DockerHost)
	for _, declare := range declared {
		declare(s, set)
	}
	return s, set
}

// prefixed is a name that no other stack has.
func prefixed(name string) string { return "alphapulse-" + strings.ToLower(name) }

// Settings lists every setting of the program.
func Settings() []settings.Setting { return declarations().Settings() }

// declarations are the settings of any stack.
func declarations() *settings.Set {
	_, set := newStack("any")
	return set
}

// Parse reads the configuration of the stack called name. values has the stack's keys
// without the project's name; secretKeys are those that were stored as secrets; before
// is what the stack's last update left. The error names every problem, one a line.
func Parse(name string, values map[string]string, secretKeys []string, before Previous) (*Stack, error) {
	s, set := newStack(name)
	p := set.Read(values, secretKeys)
	s.keeps(p, before)
	if s.Target != room.Addons {
		s.checkNames(p)
		s.checkCustom(p)
		s.generations(p, before)
		s.formerMonitoring(p, before)
		s.formerStores(p, before)
		s.rotations(p, before)
		s.checkWatching(p)
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("the configuration of stack %s has %d problem(s), nothing was changed:\n%w", name, p.Len(), err)
	}
	s.Warnings = p.Warnings()
	return s, nil
}

// arrange lets the rooms follow from each other.
func (s *Stack) arrange() {
	for _, arrange := range arranged {
		arrange(s)
	}
}

// volume declares the size of a claim, which can grow and never shrink.
func (s *Stack) volume(g *settings.Group, claim string, size *resource.Quantity, key, description string, options ...settings.Option) {
	g.Quantity(size, key, description, options...)
	s.volumes[claim] = sized{key, size}
}
